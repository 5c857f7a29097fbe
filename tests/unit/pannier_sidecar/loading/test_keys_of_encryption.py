"""A component's encryption keys change while its store stays open."""

from __future__ import annotations

from typing import Any

import pytest

from pannier_sidecar.loading.supervisor import StoreSupervisor
from pannier_sidecar.state.errors import StoreUnavailableError, UndecryptableError
from pannier_sidecar.state.requests import Get, Set

OLD, NEW = "0" * 32, "1" * 64


def served(supervisor: StoreSupervisor) -> Any:
    return supervisor.directory.find("a").store


async def is_read(supervisor: StoreSupervisor, key: str) -> bool:
    try:
        return await served(supervisor).get(Get(key)) is not None
    except UndecryptableError:
        return False


async def test_memory_keeps_its_values_when_keys_change(folder, keep, eventually):
    folder.put("a", primaryEncryptionKey=OLD)
    supervisor = keep()
    supervisor.read()
    supervisor.start()
    await supervisor.wait_ready(20)
    before = served(supervisor)
    await before.set(Set("k", b"1"))
    folder.put("a", primaryEncryptionKey=NEW, secondaryEncryptionKey=OLD)
    await eventually(lambda: served(supervisor) is not before)
    await before.set(Set("late", b"1"))  # a call that began before the change
    assert await is_read(supervisor, "k")
    assert await is_read(supervisor, "late")
    await served(supervisor).set(Set("new", b"1"))
    with pytest.raises(UndecryptableError, match="a key without a name"):
        await before.get(Get("new"))
    folder.put("a")
    await eventually(lambda: type(served(supervisor)).__name__ == "InMemoryStore")
    assert (await served(supervisor).get(Get("new"))).value.startswith(b"\0pannier")


async def test_the_stand_in_of_an_unreachable_store_takes_its_turn(folder, keep):
    folder.put("a", primaryEncryptionKey=OLD)
    supervisor = keep()
    supervisor.read()
    supervisor.start()
    await supervisor.wait_ready(20)
    await served(supervisor).set(Set("k", b"1"))
    breaker = supervisor._lifecycles["a"].current.breaker
    breaker._open("nobody answers")
    with pytest.raises(StoreUnavailableError, match="nobody answers"):
        await served(supervisor).get(Get("k"))
    with pytest.raises(StoreUnavailableError, match="nobody answers"):
        await served(supervisor).set(Set("k", b"2"))
    breaker._close()
    assert (await served(supervisor).get(Get("k"))).value == b"1"


async def test_a_sidecar_without_the_package_refuses_the_component(folder, keep, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    folder.put("a", primaryEncryptionKey=OLD)
    supervisor = keep()
    supervisor.read()
    supervisor.start()
    await supervisor.wait_ready(20)
    (state,) = supervisor.states()
    assert state.state == "refused"
    assert "encryption needs the package cryptography; pip install 'pannier-sidecar[encryption]'" in state.why
