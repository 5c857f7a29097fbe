"""Stores follow the folder: opened, exchanged (make before break), given other keys without being closed, and
closed.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from pannier_sidecar.loading.supervisor import StoreSupervisor
from pannier_sidecar.state.directory import ServedStore
from pannier_sidecar.state.errors import NoStoreConfiguredError, StoreNotFoundError, StoreNotReadyError
from pannier_sidecar.state.requests import Get, Set


async def started(keep, patience: float = 20.0, **context) -> StoreSupervisor:
    supervisor = keep(**context)
    supervisor.read()
    supervisor.start()
    await supervisor.wait_ready(patience)
    return supervisor


async def put(store: ServedStore, key: str, value: bytes) -> None:
    await store.store.set(Set(key, value, None, False, None, False, {}))


async def value(store: ServedStore, key: str) -> bytes | None:
    found = await store.store.get(Get(key))
    return None if found is None else found.value


def states(supervisor: StoreSupervisor) -> dict[str, str]:
    return {state.name: state.state for state in supervisor.states()}


def is_open(store: Any) -> bool:
    return bool(store._is_open)


def whys(supervisor: StoreSupervisor) -> dict[str, str]:
    return {state.name: state.why for state in supervisor.states()}


async def test_stores_in_the_folder_are_open_after_the_start(folder, keep):
    folder.put("a")
    folder.put("b", "state.sqlite", connectionString=str(folder.path / "b.db"))
    supervisor = await started(keep)
    assert states(supervisor) == {"a": "ready", "b": "ready"}
    assert sorted(supervisor.directory.served) == ["a", "b"]
    assert supervisor.states()[0].capabilities == ("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE", "ACTOR")


async def test_an_empty_folder_is_no_store_and_no_error(folder, keep):
    supervisor = await started(keep)
    with pytest.raises(NoStoreConfiguredError):
        supervisor.directory.find("a")


async def test_an_added_file_is_served_and_the_change_is_reported(folder, keep, eventually):
    supervisor = await started(keep)
    seen: list[object] = []
    supervisor.on_change = seen.append
    folder.put("a")
    await eventually(lambda: states(supervisor) == {"a": "ready"})
    assert seen[-1] is supervisor.directory


async def test_a_file_that_is_removed_takes_its_store_away(folder, keep, eventually):
    path = folder.put("a")
    supervisor = await started(keep)
    store = supervisor.directory.find("a").store
    path.unlink()
    await eventually(lambda: states(supervisor) == {})
    with pytest.raises(NoStoreConfiguredError):
        supervisor.directory.find("a")
    await eventually(lambda: not is_open(store))


async def test_a_change_of_keys_and_expiry_leaves_the_store_open(folder, keep, eventually):
    folder.put("a")
    supervisor = await started(keep)
    before = supervisor.directory.find("a")
    await put(before, "k", b"1")
    folder.put("a", ttlInSeconds="60", keyPrefix="none", more="scopes: [shop]\n")
    await eventually(lambda: supervisor.directory.find("a").default_ttl == 60)
    after = supervisor.directory.find("a")
    assert after.store is before.store
    assert after.keys.prefix == ""
    assert await value(after, "k") == b"1"


async def test_a_change_of_another_component_leaves_this_one_alone(folder, keep, eventually):
    folder.put("a")
    supervisor = await started(keep)
    before = supervisor.directory.find("a")
    folder.put("b")
    await eventually(lambda: "b" in states(supervisor))
    assert supervisor.directory.find("a") is before


async def test_a_changed_store_is_exchanged_and_the_old_one_closed_after_its_last_call(folder, keep, eventually):
    folder.put("a")
    supervisor = await started(keep)
    old = supervisor.directory.find("a")
    old.calls_in_flight += 1
    folder.put("a", "state.sqlite", connectionString=str(folder.path / "a.db"))
    await eventually(lambda: supervisor.directory.find("a").type == "state.sqlite")
    await asyncio.sleep(0.1)
    await put(old, "k", b"1")  # still open
    old.calls_in_flight -= 1
    await eventually(lambda: not is_open(old.store))


async def test_an_old_view_of_a_store_is_waited_for_too(folder, keep, eventually):
    folder.put("a")
    supervisor = await started(keep)
    old = supervisor.directory.find("a")
    old.calls_in_flight += 1
    folder.put("a", ttlInSeconds="60")
    await eventually(lambda: supervisor.directory.find("a").default_ttl == 60)
    (folder.path / "a.yaml").unlink()
    await eventually(lambda: states(supervisor) == {})
    await asyncio.sleep(0.1)
    assert is_open(old.store)
    old.calls_in_flight -= 1
    await eventually(lambda: not is_open(old.store))


async def test_a_wrong_change_keeps_the_store_and_says_so_once(folder, keep, eventually, caplog):
    caplog.set_level(logging.INFO)
    folder.put("a")
    supervisor = await started(keep)
    before = supervisor.directory.find("a")
    folder.put("a", ttlInSeconds="soon")
    await eventually(lambda: whys(supervisor)["a"])
    assert supervisor.directory.find("a").store is before.store
    assert states(supervisor) == {"a": "ready"}
    assert whys(supervisor)["a"].startswith("its latest version is refused: spec.metadata[ttlInSeconds].value: 'soon'")
    folder.put("b")
    await eventually(lambda: "b" in states(supervisor))
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1
    folder.put("a", ttlInSeconds="60")
    await eventually(lambda: not whys(supervisor)["a"])
    assert supervisor.directory.find("a").default_ttl == 60


async def test_a_broken_file_keeps_its_stores(folder, keep, eventually):
    path = folder.put("a")
    supervisor = await started(keep)
    before = supervisor.directory.find("a").store
    path.write_text("kind: [")
    await eventually(lambda: whys(supervisor).get("a"))
    assert supervisor.directory.find("a").store is before
    folder.put("a")
    await eventually(lambda: not whys(supervisor)["a"])


async def test_a_wrong_component_at_the_start_is_refused_and_named_in_one_line(folder, keep, caplog):
    folder.put("bad", ttlInSeconds="soon", keyPrefix="a||b")
    folder.put("good")
    supervisor = await started(keep)
    assert states(supervisor) == {"bad": "refused", "good": "ready"}
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert line.startswith("refused: ") and "ttlInSeconds" in line and "keyPrefix" in line
    with pytest.raises(StoreNotFoundError, match="its component is refused: spec.metadata.ttlInSeconds"):
        supervisor.directory.find("bad")


async def test_losing_its_scope_hides_a_store(folder, keep, eventually):
    folder.put("a")
    supervisor = await started(keep)
    folder.put("a", more="scopes: [billing]\n")
    await eventually(lambda: states(supervisor) == {"a": "hidden"})
    with pytest.raises(StoreNotFoundError, match="not in its scopes"):
        supervisor.directory.find("a")


async def test_a_folder_that_vanishes_takes_nothing_away(folder, keep, eventually, caplog):
    folder.put("a")
    supervisor = await started(keep)
    folder.path.rename(folder.path.with_name("gone"))
    await eventually(lambda: "nothing is changed" in caplog.text)
    assert states(supervisor) == {"a": "ready"}


async def test_a_store_whose_database_cannot_be_opened_waits_and_the_others_serve(folder, keep, eventually):
    place = folder.path / "later" / "a.db"
    folder.path.joinpath("later").write_text("a file where a folder should be")
    folder.put("a", "state.sqlite", connectionString=str(place), actorStateStore="true")
    folder.put("b")
    supervisor = await started(keep, patience=0.0)
    await eventually(lambda: states(supervisor) == {"a": "waiting", "b": "ready"})
    with pytest.raises(StoreNotReadyError):
        supervisor.directory.find("a")
    with pytest.raises(StoreNotReadyError):
        supervisor.directory.actor_store()
    folder.path.joinpath("later").unlink()  # the store creates the folder
    await eventually(lambda: states(supervisor)["a"] == "ready")
    assert supervisor.directory.actor_store().name == "a"


async def test_a_start_waits_for_a_server_that_comes_while_it_waits(folder, keep):
    folder.path.joinpath("later").write_text("a file where a folder should be")
    folder.put("a", "state.sqlite", connectionString=str(folder.path / "later" / "a.db"))
    starting = asyncio.create_task(started(keep))
    await asyncio.sleep(0.1)
    assert not starting.done()
    folder.path.joinpath("later").unlink()  # the store creates the folder
    assert states(await starting) == {"a": "ready"}


async def test_a_change_that_cannot_be_opened_keeps_the_store_and_says_why(folder, keep, eventually):
    folder.put("a")
    supervisor = await started(keep)
    before = supervisor.directory.find("a").store
    folder.path.joinpath("later").write_text("a file where a folder should be")
    folder.put("a", "state.sqlite", connectionString=str(folder.path / "later" / "a.db"))
    await eventually(lambda: whys(supervisor)["a"].startswith("its latest version is not ready"))
    assert states(supervisor) == {"a": "ready"}
    assert supervisor.directory.find("a").store is before
    folder.put("a")
    await eventually(lambda: not whys(supervisor)["a"])
    assert supervisor.directory.find("a").store is before and is_open(before)


async def test_a_rotated_secret_reaches_its_component(folder, keep, eventually, tmp_path):
    secrets = tmp_path / "secrets.json"
    secrets.write_text('{"prefix": "one"}')
    folder.put("vault", "secretstores.local.file", secretsFile=str(secrets))
    text = folder.component("a").replace(
        "metadata: []", "metadata:\n    - name: keyPrefix\n      secretKeyRef: {name: prefix}"
    )
    folder.write("a.yaml", text)
    supervisor = await started(keep)
    assert supervisor.directory.find("a").keys.prefix == "one||"
    secrets.write_text('{"prefix": "other"}')
    await eventually(lambda: supervisor.directory.find("a").keys.prefix == "other||")


async def test_stopping_closes_every_store(folder, keep):
    folder.put("a")
    supervisor = await started(keep)
    store = supervisor.directory.find("a").store
    await supervisor.stop(1)
    assert not is_open(store)
    await supervisor.stop(1)


async def test_a_probe_reports_which_stores_answer_now(folder, keep):
    folder.put("a")
    supervisor = await started(keep)
    await supervisor.directory.find("a").store.close()
    (state,) = await supervisor.probe(1)
    assert state.state == "waiting" and state.why
