"""What Dapr's own integration tests of state demand of daprd, in profile `dapr`, where no other test here shows it.

docs/dapr-compatibility.md lists all of them with their tests.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus

import grpc
import pytest
from scenarios.http_client import HttpClient
from servers.grpc_calls import ask, outcome
from servers.grpc_protos import DAPR
from servers.pannier_process import Pannier, serving
from servers.usage import resident_mib

SAVE = "/v1.0/state/mystore"
ITEM = '{"key": "key1", "value": "value1"}'
OTHER = '{"key": "key2", "value": "value1"}'
BAD_BODIES = (
    "",
    "{}",
    "foobar",
    "[{}]",
    '[{"key": "ke||y1", "value": "value1"}]',
    f"[{ITEM},]",
    f"[{ITEM},{OTHER},]",
    '[{"key": "key1", "value": "value1", "etag": 123}]',
    '[{"ey": "key0", "value": "value1"}]',
)
GOOD_BODIES = (
    "[]",
    '[{"key": "key1", "vae": "value1"}]',
    f"[{ITEM}]",
    f"[{ITEM},{OTHER}]",
    f"[{ITEM},{OTHER},  {ITEM},{OTHER}]",
)
STORE_NAMES = (
    "a",
    "A-1.2_3",
    "über den Wolken",
    "a+b&c=d",
    "it's",
    'q"uote',
    "ends with a blank é",
    "世界",
    "a;b#c?d",
    "x😀y",
)
KEYS = ("key", "a b", "a+b", "a/b", "a%2Fb", "...", "?#&=", "ключ", "\x01\x7f", "😀", '"quoted"', "a|b", "|c")
TEXTS = ("value", "ünï", "\\u003cb\\u003e\\u0026", "\\\\", '\\"', "\\u0000", "😀")


def component(name: str, kind: str = "state.in-memory", **settings: str) -> dict[str, Any]:
    items: list[dict[str, Any]] = [{"name": field, "value": value} for field, value in settings.items()]
    spec = {"type": kind, "version": "v1", "metadata": items}
    return {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def pannier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pannier]:
    place = tmp_path_factory.mktemp("daprd")
    (place / "secrets.json").write_text(json.dumps({"key": "0123456789abcdef" * 2}))
    encrypted = component("encrypted")
    encrypted["spec"]["metadata"] = [{"name": "primaryEncryptionKey", "secretKeyRef": {"name": "key"}}]
    secrets = component("secretstore", "secretstores.local.file", secretsFile=str(place / "secrets.json"))
    stores = [component("mystore", actorStateStore="true"), encrypted, *map(component, STORE_NAMES)]
    folder = place / "components"
    folder.mkdir()
    for number, each in enumerate((secrets, *stores)):
        (folder / f"{number}.json").write_text(json.dumps(each, ensure_ascii=False))
    with serving(folder, "--profile", "dapr") as pannier:
        yield pannier


@pytest.fixture
def http(pannier: Pannier) -> Iterator[HttpClient]:
    client = HttpClient(pannier.port())
    yield client
    client.close()


def test_bodies_of_a_save_that_are_refused_and_taken(http: HttpClient, subtests: pytest.Subtests) -> None:
    for method in ("POST", "PUT"):
        for body in BAD_BODIES:
            with subtests.test(method, body=body):
                answer = http.call(method, SAVE, body)
                assert (answer.status, answer.json["errorCode"]) == (400, "ERR_MALFORMED_REQUEST")
        for body in GOOD_BODIES:
            with subtests.test(method, body=body):
                answer = http.call(method, SAVE, body)
                assert (answer.status, answer.body) == (204, b"")


def test_requests_of_a_save_that_are_refused_and_taken_over_grpc(pannier: Pannier) -> None:
    port, value = pannier.grpc_port(), b"value1"
    bad: list[list[dict[str, Any]]] = [[{}], [{"value": value}]]
    for refused in bad:
        assert outcome(port, DAPR, "SaveState", store_name="mystore", states=refused)[0] is not grpc.StatusCode.OK
    assert outcome(port, DAPR, "SaveState")[0] is not grpc.StatusCode.OK
    one, two = {"key": "key1", "value": value}, {"key": "key2", "value": value}
    good: list[list[dict[str, Any]]] = [[], [{"key": "key1"}], [one], [one, two], [one, two, one, two]]
    for states in good:
        ask(port, DAPR, "SaveState", store_name="mystore", states=states)


def test_a_key_expires_and_a_get_says_when(pannier: Pannier, http: HttpClient) -> None:
    before = time.time()
    ttl = {"ttlInSeconds": "3"}
    assert http.call("POST", SAVE, json.dumps([{"key": "over http", "value": "value1", "metadata": ttl}])).status == 204
    ask(
        pannier.grpc_port(),
        DAPR,
        "SaveState",
        store_name="mystore",
        states=[{"key": "g", "value": b"1", "metadata": ttl}],
    )
    operations = [{"operation": "upsert", "request": {"key": "hp", "value": "value1", "metadata": ttl}}]
    actor = "/v1.0/actors/cat/tom/state"
    assert http.call("POST", actor, json.dumps(operations)).status == 204
    after = time.time()

    texts = [
        http.call("GET", path).headers["metadata.ttlexpiretime"] for path in (f"{SAVE}/over%20http", f"{actor}/hp")
    ]
    found = ask(pannier.grpc_port(), DAPR, "GetState", store_name="mystore", key="g")
    for text in (*texts, found.metadata["ttlExpireTime"]):
        assert before + 2 <= datetime.fromisoformat(text).timestamp() <= after + 4
    for path in (f"{SAVE}/over%20http", f"{SAVE}/g", f"{actor}/hp"):
        pannier.until(lambda path=path: http.call("GET", path).status == 204, f"the end of {path}")


def test_names_of_stores_may_be_any_text(http: HttpClient, pannier: Pannier, subtests: pytest.Subtests) -> None:
    for name in STORE_NAMES:
        with subtests.test(name):
            path = f"/v1.0/state/{quote_plus(name)}"
            assert http.call("POST", path, f"[{ITEM}]").status == 204
            found = http.call("GET", f"{path}/key1")
            assert (found.status, found.body) == (200, b'"value1"')
            assert ask(pannier.grpc_port(), DAPR, "GetState", store_name=name, key="key1").data == b'"value1"'


def test_any_key_and_any_text_come_back(http: HttpClient, pannier: Pannier, subtests: pytest.Subtests) -> None:
    for number, key in enumerate(KEYS):
        with subtests.test(key=key):
            path = f"{SAVE}/{quote_plus(key)}"
            assert http.call("GET", path).status == 204
            text = f'"{TEXTS[number % len(TEXTS)]}"'
            assert http.call("POST", SAVE, f'[{{"key": {json.dumps(key)}, "value": {text}}}]').status == 204
            found = http.call("GET", path)
            assert (found.status, found.body) == (200, text.encode())
            raw = bytes(range(256)) + key.encode()
            ask(pannier.grpc_port(), DAPR, "SaveState", store_name="mystore", states=[{"key": key, "value": raw}])
            assert ask(pannier.grpc_port(), DAPR, "GetState", store_name="mystore", key=key).data == raw


def test_an_encrypted_text_comes_back_without_its_quotes(http: HttpClient) -> None:
    assert http.call("POST", "/v1.0/state/encrypted", f"[{ITEM}]").status == 204
    found = http.call("GET", "/v1.0/state/encrypted/key1")
    assert (found.status, found.body) == (200, b"value1")


def test_the_state_of_an_actor(http: HttpClient, pannier: Pannier) -> None:
    actor, port = "/v1.0/actors/abc/123/state", pannier.grpc_port()
    missing = http.call("GET", f"{actor}/key1")
    assert (missing.status, missing.body) == (204, b"")
    operations = [
        {"operation": "upsert", "request": {"key": key, "value": value}}
        for key, value in (("key1", "value1"), ("key2", "value2"))
    ]
    assert http.call("POST", actor, json.dumps(operations)).status == 204
    for key, value in (("key1", b'"value1"'), ("key2", b'"value2"')):
        found = http.call("GET", f"{actor}/{key}")
        assert (found.status, found.body) == (200, value)
        assert ask(port, DAPR, "GetActorState", actor_type="abc", actor_id="123", key=key).data == value
    deletes = [{"operation": "delete", "request": {"key": key}} for key in ("key1", "key2")]
    assert http.call("POST", actor, json.dumps(deletes)).status == 204
    for key in ("key1", "key2"):
        gone = http.call("GET", f"{actor}/{key}")
        assert (gone.status, gone.body) == (204, b"")
        assert ask(port, DAPR, "GetActorState", actor_type="abc", actor_id="123", key=key).data == b""


def test_memory_comes_back_after_many_large_calls(pannier: Pannier) -> None:
    """Dapr's tests make more such calls; what each keeps would add up here too."""
    large = "0" * (3 << 20)
    saving = f'[{{"key": "large", "value": "{large}"}}]'
    transaction = f'{{"operations": [{{"operation": "upsert", "request": {{"key": "large", "value": "{large}"}}}}]}}'
    many = json.dumps({"keys": [f"key{number}" for number in range(10_000)]})
    pannier.port()
    before = resident_mib(pannier.process.pid)

    def calls(_: int) -> list[int]:
        client = HttpClient(pannier.port())
        done = [("", saving), ("/bulk", many), ("/transaction", transaction)] * 8
        statuses = [client.call("POST", SAVE + path, body).status for path, body in done]
        client.close()
        return statuses

    with ThreadPoolExecutor(4) as callers:
        assert {status for statuses in callers.map(calls, range(4)) for status in statuses} == {200, 204}
    assert pannier.call(f"{SAVE}/large", "DELETE")[0] == 204
    pannier.until(lambda: resident_mib(pannier.process.pid) < before + 50, "memory that has come back")
