"""Calls that are begun, not awaited, on a store whose values are encrypted."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from pannier_sidecar.encryption.encrypted_store import EncryptedStore
from pannier_sidecar.encryption.keys import Key
from pannier_sidecar.encryption.sealing import Sealing
from pannier_sidecar.state.errors import UndecryptableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Completion, Store, StoredValue
from pannier_sidecar.stores.in_memory import InMemoryStore


class InTurn(InMemoryStore):
    """Has no way of its own to begin calls."""

    def begin_get(self, get: Get, completion: Completion[StoredValue | None]) -> None:
        Store.begin_get(self, get, completion)


class Begun:
    """Keeps what a begun call ends with."""

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.rests: list[Coroutine[Any, Any, Any]] = []

    def complete(self, result: Any) -> None:
        self.results.append(result)

    def resume(self, rest: Coroutine[Any, Any, Any]) -> None:
        self.rests.append(rest)


@pytest.fixture(params=[InMemoryStore, InTurn])
async def inner(request: pytest.FixtureRequest):
    store = request.param({})
    await store.open()
    yield store
    await store.close()


async def begun(store: Store, key: str) -> StoredValue | None:
    call = Begun()
    store.begin_get(Get(key), call)
    assert len(call.results) + len(call.rests) == 1
    return call.results[0] if call.results else await call.rests[0]


async def test_a_begun_call_reads_and_writes_like_an_awaited_one(inner: Store) -> None:
    store = EncryptedStore(inner, Sealing("s", [Key(bytes(16), "k", "k")]))
    call = Begun()
    store.begin_write(Set("k", b"1"), call)
    assert call.results == [None]
    sealed = await inner.get(Get("k"))
    assert sealed is not None and sealed.value.startswith(b"\0pannier")
    assert await begun(store, "k") == StoredValue(b"1", sealed.etag)
    assert await begun(store, "nothing") is None
    await inner.set(Set("moved", sealed.value))
    with pytest.raises(UndecryptableError, match="moved here"):
        await begun(store, "moved")
    store.begin_write(Delete("k"), call)
    assert await begun(store, "k") is None


async def test_a_rest_can_be_driven_by_hand_or_closed_before_it_begins(inner: Store) -> None:
    store = EncryptedStore(inner, Sealing("s", [Key(bytes(16), "k", "k")]))
    await store.set(Set("k", b"1"))
    moved = await inner.get(Get("k"))
    assert moved is not None
    await inner.set(Set("moved", moved.value))
    for drives in (True, False):
        for key, expected in (("k", b"1"), ("moved", None)):
            call = Begun()
            store.begin_get(Get(key), call)
            for rest in call.rests:
                if not drives:
                    rest.close()  # a warning of a coroutine that was never awaited would fail the test
                elif expected is None:
                    with pytest.raises(UndecryptableError):
                        rest.send(None)
                else:
                    with pytest.raises(StopIteration) as end:
                        rest.send(None)
                    assert end.value.value.value == expected
