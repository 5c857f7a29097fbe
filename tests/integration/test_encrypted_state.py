"""Values that are encrypted before a database gets them: what is stored, who can read it, and how keys change."""

from __future__ import annotations

import base64
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
import pytest
from servers.grpc_calls import ask, outcome
from servers.grpc_protos import DAPR
from servers.keyed_folder import KEYS, NEW, OLD, KeyedFolder, by_dapr, read_by_dapr
from servers.pannier_process import Pannier, serving
from servers.places import Desk, Place
from servers.redis_server import single

PRIVATE = "Kj4tVq9w"
"""In every value."""


@pytest.fixture(params=["sqlite", "redis"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyedFolder]:
    if request.param == "sqlite":
        place = Place(tmp_path / "place.yaml", "state.sqlite", {"connectionString": str(tmp_path / "state.db")})
        yield KeyedFolder(tmp_path / "components", place)
        return
    with single(tmp_path) as running:
        yield KeyedFolder(
            tmp_path / "components", Place(tmp_path / "place.yaml", "state.redis", dict(running.settings))
        )


@pytest.fixture
def on_sqlite(tmp_path: Path) -> KeyedFolder:
    place = Place(tmp_path / "place.yaml", "state.sqlite", {"connectionString": str(tmp_path / "state.db")})
    return KeyedFolder(tmp_path / "components", place)


def save(pannier: Pannier, key: str, value: object, **more: object) -> int:
    return pannier.call("/v1.0/state/statestore", "POST", json.dumps([{"key": key, "value": value, **more}]))[0]


def read(pannier: Pannier, key: str) -> tuple[int, str]:
    return pannier.call(f"/v1.0/state/statestore/{key}")


def test_no_way_to_write_leaves_a_value_readable(folder: KeyedFolder) -> None:
    folder.store("new", "old")
    with serving(folder.path) as pannier:
        text, raw = f'{{"a":  "{PRIVATE}"}}', PRIVATE.encode() + bytes(range(256))
        assert pannier.call("/v1.0/state/statestore", "POST", f'[{{"key": "http", "value": {text}}}]')[0] == 201
        ask(pannier.grpc_port(), DAPR, "SaveState", store_name="statestore", states=[{"key": "grpc", "value": raw}])
        operations = [{"operation": "upsert", "request": {"key": key, "value": PRIVATE}} for key in ("one", "two")]
        path, body = "/v1.0/state/statestore/transaction", json.dumps({"operations": operations})
        assert pannier.call(path, "POST", body)[0] in (201, 204)
        actor = "/v1.0/actors/cat/tom/state"
        assert pannier.call(actor, "POST", json.dumps(operations[:1]))[0] == 204
        assert save(pannier, "short", PRIVATE, metadata={"ttlInSeconds": "1000"}) == 201

        stored = folder.stored()
        assert len(stored) == 6
        assert not [key for key, value in stored.items() if PRIVATE.encode() in value]
        assert read(pannier, "http") == (200, text)
        found = ask(pannier.grpc_port(), DAPR, "GetState", store_name="statestore", key="grpc")
        assert found.data == raw
        assert pannier.call(f"{actor}/one") == (200, f'"{PRIVATE}"')
        status, body = pannier.call("/v1.0/state/statestore/bulk", "POST", '{"keys": ["one", "short", "none"]}')
        assert status == 200
        one, short, none = json.loads(body)
        assert (one["data"], short["data"], none.get("data")) == (PRIVATE, PRIVATE, None)
        status, body = pannier.call("/v1.0-alpha1/state/statestore/keys")
        assert status == 200 and len(json.loads(body)["keys"]) == 5
        status, body = pannier.call("/v1.0-alpha1/state/statestore/query", "POST", "{}")
        assert status == 200 and PRIVATE in body
        said = [pannier.call(path)[1] for path in ("/v1.0/metadata", "/v1.0/healthz?verbose")]
    for text in (*said, pannier.out, pannier.err):
        assert not [key for key in (OLD, NEW) if key[:6] in text.lower() or key[10:16] in text.lower()]


def test_values_that_dapr_encrypted_are_read_and_written(folder: KeyedFolder) -> None:
    folder.put("shop||text", by_dapr(OLD, b"value1", "old"))
    folder.put("shop||json", by_dapr(OLD, b'{"a": 1}', "old"))
    folder.store("old", encryptionFormat="dapr")
    with serving(folder.path, "--profile", "dapr") as pannier:
        assert read(pannier, "text") == (200, "value1")
        assert read(pannier, "json") == (200, '{"a": 1}')
        found = ask(pannier.grpc_port(), DAPR, "GetState", store_name="statestore", key="text")
        assert found.data == b"value1"
        assert save(pannier, "string", "value1") == 204
        assert save(pannier, "object", {"a": 1}) == 204
        ask(pannier.grpc_port(), DAPR, "SaveState", store_name="statestore", states=[{"key": "raw", "value": b'"q"'}])
        assert read(pannier, "string") == (200, "value1")
    stored = folder.stored()
    assert read_by_dapr(OLD, stored["shop||string"]) == (b"value1", "old")
    assert read_by_dapr(OLD, stored["shop||object"]) == (b'{"a": 1}', "old")
    assert read_by_dapr(OLD, stored["shop||raw"]) == (b'"q"', "old")


def test_a_row_in_daprs_layout_is_read(on_sqlite: KeyedFolder) -> None:
    """Dapr hands a store bytes, which SQLite's and others' tables hold in base64 once more."""
    folder = on_sqlite
    folder.store("old")
    with serving(folder.path) as pannier:
        assert save(pannier, "row", 1) == 201
        twice = base64.b64encode(by_dapr(OLD, b"value1", "old")).decode()
        with closing(sqlite3.connect(str(folder.place.settings["connectionString"]))) as rows, rows:
            rows.execute("UPDATE state SET value = ?, is_binary = 1 WHERE key = 'shop||row'", (twice,))
        assert read(pannier, "row") == (200, "value1")
        status, body = pannier.call("/v1.0/state/statestore/bulk", "POST", '{"keys": ["row"]}')
        assert status == 200 and "error" in json.loads(body)[0]  # as for any value that is no JSON


@pytest.mark.parametrize("profile", ["spec", "dapr"])
def test_what_does_not_open_fails_alone_and_says_why(on_sqlite: KeyedFolder, profile: str) -> None:
    folder = on_sqlite
    folder.store("new")
    with serving(folder.path, "--profile", profile) as pannier:
        for key in ("fine", "here"):
            assert save(pannier, key, [PRIVATE]) in (201, 204)
        folder.put("shop||there", folder.stored()["shop||here"])
        folder.put("shop||plain", PRIVATE.encode())
        folder.put("shop||gone", by_dapr(OLD, b"1", "old"))
        expected = {
            "there": "moved here from another key",
            "plain": "it was stored without encryption",
            "gone": "it is encrypted with the key 'old', which the component does not have",
        }
        for key, why in expected.items():
            status, body = read(pannier, key)
            answer = json.loads(body)
            assert (status, answer["errorCode"]) == (500, "ERR_STATE_GET")
            assert answer["message"].startswith(f"fail to get {key} from state store statestore: could not decrypt")
            assert why in answer["message"] and PRIVATE not in body
            code, words = outcome(pannier.grpc_port(), DAPR, "GetState", store_name="statestore", key=key)
            assert code is grpc.StatusCode.INTERNAL and why in words
        body = json.dumps({"keys": ["fine", *expected]})
        status, body = pannier.call("/v1.0/state/statestore/bulk", "POST", body)
        fine, *failed = json.loads(body)
        assert status == 200 and fine["data"] == [PRIVATE]
        for item, why in zip(failed, expected.values(), strict=True):
            assert why in item["error"] and "data" not in item
        assert save(pannier, "plain", 1) in (201, 204)  # a write mends it
        assert read(pannier, "plain") == (200, "1")


def test_values_from_before_are_read_on_request(on_sqlite: KeyedFolder) -> None:
    folder = on_sqlite
    folder.store(None)
    with serving(folder.path) as pannier:
        assert save(pannier, "k", PRIVATE) == 201
        folder.store("new", encryptionReadsUnencrypted="true")
        pannier.until(lambda: save(pannier, "probe", 1) == 201 and b"\0pannier" in folder.stored()["shop||probe"])
        assert read(pannier, "k") == (200, f'"{PRIVATE}"')
        assert folder.stored()["shop||k"] == f'"{PRIVATE}"'.encode()


@contextmanager
def calls_go_on(pannier: Pannier) -> Iterator[None]:
    """Three clients save and read while something changes; at the end, no call of theirs may have failed."""
    failed: list[object] = []
    ends = threading.Event()

    def go_on() -> None:
        while not ends.is_set():
            for answer in (save(pannier, "k", PRIVATE), *read(pannier, "k"), *read(pannier, "first")):
                if answer not in (200, 201, f'"{PRIVATE}"'):
                    failed.append(answer)

    callers = [threading.Thread(target=go_on) for _ in range(3)]
    for caller in callers:
        caller.start()
    try:
        yield
    finally:
        ends.set()
        for caller in callers:
            caller.join()
    assert not failed


def test_keys_change_while_calls_go_on(on_sqlite: KeyedFolder) -> None:
    """As docs/encryption.md says: the new key is read first, then written, and then the old one goes."""
    folder = on_sqlite
    folder.store("old")
    with serving(folder.path) as pannier:
        assert save(pannier, "first", PRIVATE) == 201
        with calls_go_on(pannier):
            folder.store("old", "new")
            pannier.until(lambda: has_read(pannier, folder, "old", "new"))
            folder.store("new", "old")
            pannier.until(lambda: b"\x03new" in folder.stored()["shop||k"])
        assert save(pannier, "k", PRIVATE) == 201
        folder.store("new")
        pannier.until(lambda: read(pannier, "first")[0] == 500)
        assert read(pannier, "k") == (200, f'"{PRIVATE}"')


def test_further_keys_change_with_their_secret_while_calls_go_on(on_sqlite: KeyedFolder) -> None:
    folder = on_sqlite
    oldest = "5" * 64
    folder.secrets(**KEYS, keys=f"old={OLD}\n")
    folder.store("old")
    with serving(folder.path) as pannier:
        assert save(pannier, "first", PRIVATE) == 201
        folder.put("shop||oldest", by_dapr(oldest, b"1", "gone"))
        with calls_go_on(pannier):
            folder.store("new", None, "keys")
            pannier.until(lambda: b"\x03new" in folder.stored()["shop||k"])
            assert "add it to decryptionKeys, under that name" in read(pannier, "oldest")[1]
            folder.secrets(**KEYS, keys=f"old={OLD}\ngone={oldest[:-1]}\n")
            pannier.until_says("in its key 2, the encryption key has 63 hexadecimal digits")
            folder.secrets(**KEYS, keys=f"old={OLD}\ngone={oldest}\n")
            pannier.until(lambda: read(pannier, "oldest") == (200, "1"))
        folder.secrets(**KEYS, keys=f"gone={oldest}\n")
        pannier.until(lambda: read(pannier, "first")[0] == 500)
        assert read(pannier, "oldest") == (200, "1")
    assert not [key for key in (OLD, NEW, oldest) if key[:12] in pannier.err + pannier.out]


def has_read(pannier: Pannier, folder: KeyedFolder, primary: str, secondary: str) -> bool:
    """Return whether the sidecar opens what the second key seals."""
    folder.put("shop||probe", by_dapr(KEYS[secondary], b"1", secondary))
    return read(pannier, "probe")[0] == 200


def test_a_secret_that_becomes_empty_does_not_turn_encryption_off(on_sqlite: KeyedFolder) -> None:
    folder = on_sqlite
    folder.store("new")
    with serving(folder.path) as pannier:
        assert save(pannier, "k", PRIVATE) == 201
        for wrong, why in (("", "the encryption key is empty"), (NEW[:-1], "has 63 hexadecimal digits")):
            folder.secrets(new=wrong)
            pannier.until_says(why)
            assert save(pannier, "k", PRIVATE) == 201
            assert PRIVATE.encode() not in folder.stored()["shop||k"]
    assert NEW[:6] not in pannier.err


def test_a_copy_encrypts_with_the_targets_keys(on_sqlite: KeyedFolder, tmp_path: Path) -> None:
    source = on_sqlite
    settings = {"connectionString": str(tmp_path / "target.db")}
    target = KeyedFolder(tmp_path / "target", Place(tmp_path / "there.yaml", "state.sqlite", settings))
    source.store("old")
    target.store("new", encryptionFormat="dapr")
    with serving(source.path) as pannier:
        assert save(pannier, "k", PRIVATE) == 201
    route = (f"{source.path}#statestore", f"{target.path}#statestore", "--app-id", "shop")
    done = Desk(tmp_path).copy(*route)
    assert done.code == 0, done.err
    assert done.out[1].startswith("verified: 1 key,")
    assert read_by_dapr(NEW, target.stored()["shop||k"]) == (f'"{PRIVATE}"'.encode(), "new")
    assert Desk(tmp_path).copy(*route).out[0] == "1 key: 1 the same already"
