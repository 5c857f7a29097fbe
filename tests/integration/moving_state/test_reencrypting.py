"""`pannier reencrypt` on real databases: beside an app that goes on, and over values of every kind."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from servers.keyed_folder import NEW, OLD, KeyedFolder, by_dapr, read_by_dapr
from servers.pannier_process import Pannier, serving
from servers.places import Desk, Outcome, Place

VERIFIED = "verified: no value of app 'shop' needs another key than 'new'"


@pytest.fixture
def folder(sqlite_place: Place, tmp_path: Path) -> KeyedFolder:
    return KeyedFolder(tmp_path / "components", sqlite_place)


def reencrypt(folder: KeyedFolder, tmp_path: Path) -> Outcome:
    return Desk(tmp_path).run("reencrypt", "--component", folder.path, "--app-id", "shop")


def save(pannier: Pannier, *items: dict[str, object]) -> int:
    return pannier.call("/v1.0/state/statestore", "POST", json.dumps(items))[0]


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_no_value_needs_the_old_key_afterwards_and_no_call_fails(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path
) -> None:
    folder = KeyedFolder(tmp_path / "components", request.getfixturevalue(f"{kind}_place"))
    folder.store("old")
    with serving(folder.path) as pannier:
        assert save(pannier, *({"key": f"k{number}", "value": number} for number in range(500))) == 201
        assert save(pannier, {"key": "short", "value": 1, "metadata": {"ttlInSeconds": "1000"}}) == 201
        actor = json.dumps([{"operation": "upsert", "request": {"key": "mood", "value": "good"}}])
        assert pannier.call("/v1.0/actors/cat/tom/state", "POST", actor)[0] == 204
        folder.store("new", "old")
        pannier.until(lambda: save(pannier, {"key": "probe", "value": 1}) == 201 and is_of(folder, "probe", "new"))
        wrong: list[object] = []
        ends = threading.Event()

        def go_on(first: int) -> None:
            number = first
            while not ends.is_set():
                number = (number + 7) % 500
                status, body = pannier.call(f"/v1.0/state/statestore/k{number}")
                if (status, body) != (200, str(number)) or save(pannier, {"key": f"k{number}", "value": number}) != 201:
                    wrong.append((status, body))

        callers = [threading.Thread(target=go_on, args=(first,)) for first in range(2)]
        for caller in callers:
            caller.start()
        try:
            done = reencrypt(folder, tmp_path)
        finally:
            ends.set()
            for caller in callers:
                caller.join()
        assert (done.code, done.out[1:]) == (0, [VERIFIED]), (done.out, done.err)
        assert not wrong
        folder.store("new")
        folder.put("shop||gone", by_dapr(OLD, b"1", "old"))
        pannier.until(lambda: pannier.call("/v1.0/state/statestore/gone")[0] == 500)
        for number in range(500):
            assert pannier.call(f"/v1.0/state/statestore/k{number}") == (200, str(number))
        assert pannier.call("/v1.0/actors/cat/tom/state/mood") == (200, '"good"')
        assert pannier.call("/v1.0/state/statestore/short")[0] == 200


def is_of(folder: KeyedFolder, key: str, name: str) -> bool:
    return bytes([len(name)]) + name.encode() in folder.stored()[f"shop||{key}"][:40]


def test_every_kind_of_value_is_encrypted_anew_once(folder: KeyedFolder, tmp_path: Path) -> None:
    folder.put("shop||plain", b'{"a": 1}')
    folder.put("shop||daprs", by_dapr(OLD, b"value1", "old"))
    folder.put("shop||empty", by_dapr(NEW, b"", "new"))
    folder.put("other||k", b"1")
    folder.store("new", "old", encryptionReadsUnencrypted="true")
    done = reencrypt(folder, tmp_path)
    assert (done.code, done.out) == (0, ["3 keys: 3 encrypted again", VERIFIED]), done.err
    stored = folder.stored()
    assert stored["other||k"] == b"1"
    assert all(value.startswith(b"\0pannier") for key, value in stored.items() if key != "other||k")
    assert reencrypt(folder, tmp_path).out == ["3 keys: 3 encrypted with the primary key already", VERIFIED]
    assert folder.stored() == stored
    folder.store("new", encryptionFormat="dapr")
    assert reencrypt(folder, tmp_path).code == 0
    stored = folder.stored()
    assert read_by_dapr(NEW, stored["shop||plain"]) == (b'{"a": 1}', "new")
    assert read_by_dapr(NEW, stored["shop||daprs"]) == (b"value1", "new")
    assert read_by_dapr(NEW, stored["shop||empty"]) == (b"", "new")


def test_values_of_many_keys_are_encrypted_with_the_primary_one(folder: KeyedFolder, tmp_path: Path) -> None:
    older = {f"state-{number}": f"{number:032x}" for number in range(60)}
    folder.secrets(new=NEW, old=OLD, keys="\n".join(f"{name}={key}" for name, key in older.items()))
    for name, key in older.items():
        folder.put(f"shop||{name}", by_dapr(key, name.encode(), name))
    folder.put("shop||second", by_dapr(OLD, b"1", "old"))
    folder.store("new", "old", "keys")
    done = reencrypt(folder, tmp_path)
    assert (done.code, done.out) == (0, ["61 keys: 61 encrypted again", VERIFIED]), done.err
    folder.store("new")
    assert reencrypt(folder, tmp_path).out == ["61 keys: 61 encrypted with the primary key already", VERIFIED]


def test_a_value_that_does_not_open_stays_and_is_named(folder: KeyedFolder, tmp_path: Path) -> None:
    folder.put("shop||fine", by_dapr(OLD, b"1", "old"))
    folder.put("shop||lost", by_dapr("ff" * 16, b"1", "lost"))
    before = folder.stored()["shop||lost"]
    folder.store("new", "old")
    done = reencrypt(folder, tmp_path)
    assert (done.code, done.out) == (1, ["2 keys: 1 encrypted again, 1 failed"])
    (said,) = [line for line in done.err if line.startswith("failed")]
    assert said.startswith("failed: key 'lost': could not decrypt the value: it is encrypted with the key 'lost'")
    assert folder.stored()["shop||lost"] == before


def test_a_component_without_keys_is_refused(folder: KeyedFolder, tmp_path: Path) -> None:
    folder.store(None)
    done = reencrypt(folder, tmp_path)
    assert done.code == 1
    assert done.err[-1].endswith("statestore has no primaryEncryptionKey, so there is nothing to encrypt with")
