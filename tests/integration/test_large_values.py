"""Values of hundreds of megabytes in a real sidecar: its memory, its being killed, full and encrypted databases."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from servers.grpc_calls import ask, outcome
from servers.grpc_protos import DAPR
from servers.keyed_folder import KeyedFolder
from servers.pannier_process import PATIENCE, Pannier, serving
from servers.places import Desk, Place, listed
from servers.redis_server import RedisServer, single
from servers.usage import forget_peak, peak_mib, resident_mib

from pannier_sidecar.large_values.layout import ROOT, Keys
from pannier_sidecar.large_values.sweeping import sweep
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.state.store import Store

MIB = 1024 * 1024
BLOCK = bytes(range(256)) * 4096
BLOCKS = 191
"""A value of 200 MB."""
MOST_MIB = 20
PATH = "/v1.0-alpha1/state/statestore/{}/value"
PRIVATE = b"Kj4tVq9w"


def keeps_parts(place: Place, **more: str) -> Place:
    return place.under(place.file, largeValues="true", **more)


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    return Place(tmp_path / "c" / "statestore.yaml", "state.sqlite", {"connectionString": str(tmp_path / "state.db")})


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with single(tmp_path / "redis", "--save", "") as server:
        yield server


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    for name in ("c", "redis"):
        (tmp_path / name).mkdir()
    return tmp_path / "c"


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, folder: Path) -> Place:
    if request.param == "sqlite":
        return keeps_parts(request.getfixturevalue("sqlite_place"))
    server = request.getfixturevalue("redis")
    return keeps_parts(Place(folder / "statestore.yaml", "state.redis", dict(server.settings)))


def blocks() -> Iterator[bytes]:
    for number in range(BLOCKS):
        yield number.to_bytes(4, "big") + BLOCK[4:]


def is_ready(pannier: Pannier) -> int:
    """Wait for the store, and return the port."""
    pannier.until(lambda: pannier.call("/v1.0/healthz")[0] == 204, "readiness")
    pannier.until(lambda: pannier.call("/v1.0/state/statestore/none")[0] == 204, "the store")
    return pannier.port()


def put(port: int, key: str, body: Any, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("PUT", PATH.format(key), body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def get(port: int, path: str, **headers: str) -> tuple[int, int, str]:
    """Status, size and digest of what is read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        digest, size = hashlib.sha256(), 0
        while block := answer.read(MIB):
            digest.update(block)
            size += len(block)
        return answer.status, size, digest.hexdigest()
    finally:
        connection.close()


def in_store(place: Place, act: Callable[[Store], Any]) -> Any:
    async def run() -> Any:
        async with place.store() as store:
            return await act(store)

    return asyncio.run(run())


def parts_in(place: Place) -> list[str]:
    keys: list[str] = in_store(place, listed)
    return [key for key in keys if key.startswith(ROOT)]


def test_200_mb_in_and_out_take_less_than_20_mb_of_memory(place: Place, folder: Path) -> None:
    digest = hashlib.sha256(b"".join(blocks())).hexdigest()
    size = BLOCKS * MIB
    with serving(folder) as pannier:
        port, pid = is_ready(pannier), pannier.process.pid
        assert put(port, "warm", BLOCK)[0] == 201
        assert get(port, "/v1.0/state/statestore/warm")[:2] == (200, MIB)
        before = resident_mib(pid)
        forget_peak(pid)
        assert put(port, "sized", blocks(), **{"Content-Length": str(size)})[0] == 201
        assert get(port, "/v1.0/state/statestore/sized") == (200, size, digest)
        assert put(port, "chunked", blocks())[0] == 201
        assert get(port, PATH.format("chunked")) == (200, size, digest)
        start, stop = 100 * MIB - 7, 100 * MIB + 5
        part = b"".join([BLOCK[-7:], (100).to_bytes(4, "big"), BLOCK[4:5]])
        found = get(port, PATH.format("chunked"), Range=f"bytes={start}-{stop - 1}")
        assert found == (206, 12, hashlib.sha256(part).hexdigest())
        assert peak_mib(pid) - before < MOST_MIB


def test_grpc_names_the_way_over_http_for_what_no_message_holds(sqlite_place: Place, folder: Path) -> None:
    keeps_parts(sqlite_place)
    with serving(folder) as pannier:
        port = is_ready(pannier)
        small = BLOCK * 2
        ask(pannier.grpc_port(), DAPR, "SaveState", store_name="statestore", states=[{"key": "k", "value": small}])
        assert ask(pannier.grpc_port(), DAPR, "GetState", store_name="statestore", key="k").data == small
        assert put(port, "k", BLOCK * 5)[0] == 201
        code, message = outcome(pannier.grpc_port(), DAPR, "GetState", store_name="statestore", key="k")
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "the value has 5,242,880 bytes, and this call returns values of up to 4,194,304; read it over" in message
        assert len(parts_in(sqlite_place)) > 20


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_sidecar_that_ends_between_two_parts_leaves_the_value_before(
    place: Place, folder: Path, number: signal.Signals
) -> None:
    with serving(folder) as pannier:
        port = is_ready(pannier)
        assert put(port, "k", b"before")[0] == 201
        with socket.create_connection(("127.0.0.1", port)) as client:
            head = f"PUT {PATH.format('k')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {100 * MIB}\r\n\r\n"
            client.sendall(head.encode() + BLOCK * 3)
            pannier.until(lambda: len(parts_in(place)) > 5, "parts")
            pannier.send(number)
            if number is signal.SIGTERM:
                client.close()
            pannier.end()
    if number is signal.SIGKILL:
        assert len(parts_in(place)) > 5
    with serving(folder) as pannier:
        assert get(is_ready(pannier), PATH.format("k"))[:2] == (200, len(b"before"))
        assert put(pannier.port(), "other", BLOCK)[0] == 201

        async def sweep_twice(store: Store) -> None:
            await sweep(store, Keys("shop||"), 0)
            await sweep(store, Keys("shop||"), 0)

        in_store(place, sweep_twice)
        assert len(parts_in(place)) <= 6, "those of the other value, its record, and the time of a sweep"
        assert get(pannier.port(), PATH.format("other"))[:2] == (200, MIB)


def test_a_redis_without_memory_leaves_the_value_before(redis: RedisServer, folder: Path) -> None:
    place = keeps_parts(Place(folder / "statestore.yaml", "state.redis", dict(redis.settings)))
    with serving(folder) as pannier, redis.client() as client:
        port = is_ready(pannier)
        assert put(port, "k", b"before")[0] == 201
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", str(client.info("memory")["used_memory"] + 4 * MIB))
        status, body = put(port, "k", blocks(), **{"Content-Length": str(BLOCKS * MIB)})
        assert status == 500 and json.loads(body)["errorCode"] == "ERR_STATE_SAVE"
        assert get(port, PATH.format("k"))[:2] == (200, len(b"before"))
        pannier.until(lambda: not parts_in(place), "that no part is left")


def test_encrypted_parts_open_in_their_place_alone(sqlite_place: Place, tmp_path: Path) -> None:
    folder = KeyedFolder(tmp_path / "keyed", sqlite_place)
    folder.store("old", largeValues="true", largeValuePartSize="64Ki")
    value = b"".join(PRIVATE + os.urandom(2) + bytes(65_526) for _ in range(8))
    with serving(folder.path) as pannier:
        port = is_ready(pannier)
        assert put(port, "k", value * 10)[0] == 201
        assert put(port, "small", PRIVATE)[0] == 201
        digest = hashlib.sha256(value * 10).hexdigest()
        assert get(port, PATH.format("k")) == (200, len(value) * 10, digest)
        stored = folder.stored()
        assert len(stored) > 80 and not [key for key, each in stored.items() if PRIVATE in each]
        first, second = sorted(key for key in stored if key.endswith(("||0", "||1")))
        folder.put(first, stored[second])
        assert get(port, PATH.format("k"))[0] == 500
        folder.put(first, stored[first])
        folder.put("shop||moved", stored["shop||k"])
        assert get(port, PATH.format("moved"))[0] == 500
        said = pannier.out + pannier.err
    assert PRIVATE.decode() not in said


def test_reencrypting_covers_the_parts(sqlite_place: Place, tmp_path: Path) -> None:
    folder = KeyedFolder(tmp_path / "keyed", sqlite_place)
    folder.store("old", largeValues="true")
    with serving(folder.path) as pannier:
        port = is_ready(pannier)
        assert put(port, "k", BLOCK * 6)[0] == 201
        folder.store("new", "old", largeValues="true")
        desk = Desk(tmp_path)

        def has_new_key() -> bool:
            put(port, "probe", b"1")
            return b"\x03new" in folder.stored()["shop||probe"][:40]

        pannier.until(has_new_key, "the new key")
        done = desk.run("reencrypt", "--component", folder.path, "--app-id", "shop")
        assert done.code == 0, (done.out, done.err)
        assert done.out[1:] == ["verified: no value of app 'shop' needs another key than 'new'"]
        assert all(b"\x03new" in value[:40] for value in folder.stored().values())
        folder.store("new", largeValues="true")
        digest = hashlib.sha256(BLOCK * 6).hexdigest()
        assert get(port, PATH.format("k")) == (200, 6 * MIB, digest)


def test_values_in_parts_are_moved_or_named(sqlite_place: Place, folder: Path, tmp_path: Path) -> None:
    place = keeps_parts(sqlite_place)
    with serving(folder) as pannier:
        port = is_ready(pannier)
        assert put(port, "small", b'"small"')[0] == 201
        assert put(port, "parts", b'"' + b"x" * MIB + b'"')[0] == 201
        assert put(port, "large", BLOCK * 5)[0] == 201
    desk = Desk(tmp_path)
    other = Place(tmp_path / "other.yaml", "state.sqlite", {"connectionString": str(tmp_path / "other.db")})
    keeps_parts(other)
    done = desk.copy(place.file, other.file, "--app-id", "shop")
    assert done.code == 1
    [line] = [line for line in done.err if "large" in line]
    assert "unreadable: key 'large': the value has 5,242,880 bytes" in line
    assert any("2 copied" in line for line in done.out), done.out
    copied = asyncio.run(other.values())
    assert copied["shop||small"] == b'"small"' and len(copied) == 2 + 5 + 1
    plain = Place(tmp_path / "plain.yaml", "state.sqlite", dict(sqlite_place.settings))
    done = desk.run("export", "--from", plain.file, "--app-id", "shop")
    assert done.code == 1
    said = 'it is kept in parts; write largeValues: "true" in the component'
    assert [said in line for line in done.err if line.startswith("unreadable: ")] == [True, True]


def test_a_sidecar_without_the_field_stores_what_it_is_sent(sqlite_place: Place, folder: Path) -> None:
    with serving(folder) as pannier:
        port = is_ready(pannier)
        assert put(port, "k", BLOCK * 3)[0] == 201
        assert put(port, "k", BLOCK * 5)[0] == 413
        assert get(port, PATH.format("k"))[:2] == (200, 3 * MIB)
    assert len(in_store(sqlite_place, listed)) == 1

    async def stored(store: Store) -> bytes:
        found = await store.get(Get("shop||k"))
        assert found is not None
        await store.set(Set("shop||k", b""))
        return found.value

    assert in_store(sqlite_place, stored) == BLOCK * 3
