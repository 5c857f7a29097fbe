"""A running sidecar follows its components folder, loses no call meanwhile, and waits for servers that are down."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.pannier_process import Pannier, call
from servers.processes import free_port
from servers.redis_server import RedisServer

Serve = Callable[..., Pannier]


def component(name: str, kind: str, *, scopes: str = "", **metadata: object) -> str:
    items = "".join(f"\n    - name: {key}\n      value: {json.dumps(value)}" for key, value in metadata.items())
    return (
        f"apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\n"
        f"spec:\n  type: {kind}\n  version: v1\n  metadata:{items or ' []'}\n{scopes}"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "components"
    path.mkdir()
    return path


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    started = []

    def start(*flags: object) -> Pannier:
        arguments = ["serve", "--app-id", "shop", "--components", folder, "--http-port", "0", "--enable-metrics=false"]
        started.append(Pannier(*arguments, *flags))
        return started[-1]

    yield start
    for pannier in started:
        pannier.close()


def state(pannier: Pannier, store: str) -> dict[str, str]:
    stores: dict[str, dict[str, str]] = json.loads(pannier.call("/v1.0/healthz?verbose")[1])["stores"]
    return stores.get(store, {})


def save(pannier: Pannier, store: str, key: str, value: object) -> None:
    status, body = pannier.call(f"/v1.0/state/{store}", "POST", json.dumps([{"key": key, "value": value}]))
    assert status == 201, body


def read(pannier: Pannier, store: str, key: str) -> tuple[int, str]:
    return pannier.call(f"/v1.0/state/{store}/{key}")


def put(file: Path, text: str) -> None:
    """Write a file as a whole: half of it would be refused too, if the machine stopped us in between."""
    fresh = file.with_name(f".{file.name}")
    fresh.write_text(text)
    fresh.replace(file)


def test_a_store_is_added_changed_and_removed_without_a_restart(serve: Serve, folder: Path, tmp_path: Path) -> None:
    pannier = serve()
    file = folder / "orders.yaml"
    file.write_text(component("orders", "state.in-memory"))
    pannier.until(lambda: state(pannier, "orders").get("state") == "ready")
    save(pannier, "orders", "k", 1)
    file.write_text(component("orders", "state.sqlite", connectionString=str(tmp_path / "orders.db")))
    pannier.until(lambda: state(pannier, "orders").get("type") == "state.sqlite")
    assert read(pannier, "orders", "k")[0] == 204
    file.unlink()
    pannier.until(lambda: not state(pannier, "orders"))
    assert read(pannier, "orders", "k")[0] == 400


def test_health_says_which_version_of_the_folder_was_read(serve: Serve, folder: Path) -> None:
    def health(pannier: Pannier) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(pannier.call("/v1.0/healthz?verbose")[1])
        return answer

    pannier = serve()
    assert health(pannier)["componentsVersion"] == ""
    (folder / "_version").write_text("first\n")
    pannier.until(lambda: health(pannier)["componentsVersion"] == "first")
    (folder / "orders.yaml").write_text(component("orders", "state.in-memory"))
    (folder / "_version").write_text("second")
    pannier.until(lambda: health(pannier)["componentsVersion"] == "second")
    assert "orders" in health(pannier)["stores"]


def test_a_bad_file_never_takes_the_old_store_away(serve: Serve, folder: Path) -> None:
    file = folder / "orders.yaml"
    file.write_text(component("orders", "state.in-memory"))
    pannier = serve()
    save(pannier, "orders", "k", 1)
    for bad in (
        "kind: [",
        component("orders", "state.inmemory"),
        component("orders", "state.in-memory", keyPrefix="a||b"),
    ):
        put(file, bad)
        pannier.until(lambda: state(pannier, "orders").get("why"))
        assert state(pannier, "orders")["state"] == "ready"
        assert read(pannier, "orders", "k") == (200, "1")
        put(file, component("orders", "state.in-memory"))
        pannier.until(lambda: not state(pannier, "orders").get("why"))
    assert read(pannier, "orders", "k") == (200, "1")
    assert pannier.err.count("refused: ") == 3


def test_no_call_fails_while_a_store_is_exchanged(serve: Serve, folder: Path, tmp_path: Path) -> None:
    file = folder / "orders.yaml"
    texts = [
        component("orders", "state.sqlite", connectionString=str(tmp_path / "orders.db"), busyTimeout=f"{n}s")
        for n in range(1, 6)
    ]
    file.write_text(texts[0])
    pannier = serve()
    save(pannier, "orders", "k", 1)
    url = f"http://127.0.0.1:{pannier.port()}/v1.0/state/orders/k"
    ended = threading.Event()
    answers: list[tuple[int, str]] = []

    def keep_reading() -> None:
        while not ended.is_set():
            answers.append(call(url))

    reader = threading.Thread(target=keep_reading)
    reader.start()
    try:
        for n, text in enumerate(texts[1:], 2):
            file.write_text(text)
            pannier.until(lambda n=n: pannier.err.count("store orders (state.sqlite/v1) is ready") == n)  # type: ignore[misc]
    finally:
        ended.set()
        reader.join()
    assert len(answers) > 4
    assert set(answers) == {(200, "1")}


def test_a_redis_that_is_down_at_the_start_is_waited_for(serve: Serve, folder: Path, tmp_path: Path) -> None:
    port = free_port()
    (folder / "orders.yaml").write_text(component("orders", "state.redis", redisHost=f"127.0.0.1:{port}"))
    (folder / "drafts.yaml").write_text(component("drafts", "state.in-memory"))
    pannier = serve()
    save(pannier, "drafts", "k", 1)
    status, body = read(pannier, "orders", "k")
    assert status == 503
    assert json.loads(body)["errorCode"] == "ERR_STATE_STORE_NOT_READY"
    assert "it is tried again in the background" in body
    redis = RedisServer(tmp_path / "redis", port=port)
    try:
        pannier.until(lambda: state(pannier, "orders").get("state") == "ready")
        save(pannier, "orders", "k", 2)
        with redis.client() as client:
            assert client.hget("shop||k", "data") == b"2"
    finally:
        redis.kill()


def test_a_change_to_a_redis_that_is_down_keeps_the_old_one(serve: Serve, folder: Path, tmp_path: Path) -> None:
    port = free_port()
    file = folder / "orders.yaml"
    redis = RedisServer(tmp_path / "redis")
    later = None
    try:
        file.write_text(component("orders", "state.redis", redisHost=redis.address))
        pannier = serve()
        pannier.until(lambda: state(pannier, "orders").get("state") == "ready")
        save(pannier, "orders", "k", 1)
        file.write_text(component("orders", "state.redis", redisHost=f"127.0.0.1:{port}"))
        pannier.until(lambda: "its latest version is not ready" in state(pannier, "orders").get("why", ""))
        assert read(pannier, "orders", "k") == (200, "1")
        later = RedisServer(tmp_path / "later", port=port)
        pannier.until(lambda: not state(pannier, "orders")["why"])
        assert read(pannier, "orders", "k")[0] == 204
    finally:
        for server in (redis, later):
            if server is not None:
                server.kill()


def test_a_redis_that_stops_answering_is_reported_and_its_return_is_noticed(
    serve: Serve, folder: Path, tmp_path: Path
) -> None:
    redis = RedisServer(tmp_path / "redis")
    try:
        (folder / "orders.yaml").write_text(component("orders", "state.redis", redisHost=redis.address))
        pannier = serve()
        pannier.until(lambda: state(pannier, "orders").get("state") == "ready")
        redis.kill()
        pannier.until(lambda: state(pannier, "orders")["state"] == "waiting")
        assert redis.address in state(pannier, "orders")["why"]
        redis.start()
        pannier.until(lambda: state(pannier, "orders")["state"] == "ready")
    finally:
        redis.kill()


def test_a_lost_scope_is_reported_and_a_new_one_serves(serve: Serve, folder: Path) -> None:
    file = folder / "orders.yaml"
    file.write_text(component("orders", "state.in-memory", scopes="scopes: [billing]\n"))
    pannier = serve()
    status, body = read(pannier, "orders", "k")
    assert status == 400 and "app 'shop' is not in its scopes [billing]: add it there" in body
    file.write_text(component("orders", "state.in-memory", scopes="scopes: [billing, shop]\n"))
    pannier.until(lambda: state(pannier, "orders").get("state") == "ready")


def test_a_second_actor_store_is_refused_and_the_first_serves_on(serve: Serve, folder: Path) -> None:
    (folder / "orders.yaml").write_text(component("orders", "state.in-memory", actorStateStore="true"))
    pannier = serve()
    pannier.port()
    (folder / "a-second.yaml").write_text(component("second", "state.in-memory", actorStateStore="true"))
    pannier.until_says("'orders' already is the actor state store")
    body = '[{"operation": "upsert", "request": {"key": "k", "value": 1}}]'
    assert pannier.call("/v1.0/actors/cart/1/state", "POST", body)[0] == 204
    save(pannier, "orders", "k", 1)
    assert read(pannier, "second", "k")[0] == 400
