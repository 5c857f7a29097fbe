"""What becomes of each kind of call to a store whose values are held in memory."""

from collections.abc import AsyncIterator, Awaitable

import pytest
from conformance.calls import Begun, begun_get, begun_write, error_of
from unit.pannier_sidecar.caching.cached_stores import Away, Sidecar

from pannier_sidecar.encryption.encrypted_store import EncryptedStore
from pannier_sidecar.encryption.keys import Key
from pannier_sidecar.encryption.sealing import Sealing
from pannier_sidecar.state.errors import StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import StoredValue
from pannier_sidecar.stores.in_memory import InMemoryStore

KEY = "app||a"


@pytest.fixture
async def database() -> AsyncIterator[InMemoryStore]:
    store = InMemoryStore({})
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def sidecar(database: InMemoryStore) -> AsyncIterator[Sidecar]:
    sidecar = Sidecar(database, bound_s=60)
    await sidecar.until_proven()
    await database.set(Set(KEY, b"1"))
    await sidecar.store.keys("", 1, None)  # lets the feed report it
    yield sidecar
    await sidecar.stop()


async def settled(sidecar: Sidecar) -> StoredValue:
    """Return the value after it was read until it is held: a change that is reported late forgets it once more."""
    while sidecar.cached.get(KEY) is None:
        found = await sidecar.store.get(Get(KEY))
    assert found is not None
    return found


async def test_an_eventual_read_is_answered_from_memory(sidecar: Sidecar) -> None:
    first = await settled(sidecar)
    reads = sidecar.away.reads
    assert await sidecar.store.get(Get(KEY)) is first
    assert await begun_get(sidecar.store, Get(KEY)) is first
    assert await sidecar.store.bulk_get([Get(KEY)]) == [first]
    assert sidecar.away.reads == reads


async def test_other_reads_go_to_the_database(sidecar: Sidecar) -> None:
    await settled(sidecar)
    reads = sidecar.away.reads
    for get in (Get(KEY, strong=True), Get(KEY, metadata={"partitionKey": "p"})):
        await sidecar.store.get(get)
        await begun_get(sidecar.store, get)
        await sidecar.store.bulk_get([get])
    assert sidecar.away.reads == reads + 6


async def test_a_bulk_read_asks_only_for_what_is_missing(sidecar: Sidecar, database: InMemoryStore) -> None:
    await settled(sidecar)
    await database.set(Set("app||b", b"2"))
    reads = sidecar.away.reads
    found = await sidecar.store.bulk_get([Get(KEY), Get("app||b"), Get("app||absent")])
    assert [entry.value if isinstance(entry, StoredValue) else entry for entry in found] == [b"1", b"2", None]
    assert sidecar.away.reads == reads + 2


async def test_keys_of_actors_and_of_others_are_not_held(sidecar: Sidecar, database: InMemoryStore) -> None:
    for key in ("app||Type||id||a", "other||a"):
        await database.set(Set(key, b"1"))
        await sidecar.store.get(Get(key))
        assert sidecar.cached.get(key) is None


@pytest.mark.parametrize("how", ["set", "delete", "begun", "bulk", "transaction"])
async def test_a_write_is_seen_at_once(sidecar: Sidecar, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Away, "_carry_out", lambda self, write: self.inner.set(write))
    monkeypatch.setattr(Away, "bulk_write", lambda self, writes: self.inner.bulk_write(writes))
    await settled(sidecar)
    write = Set(KEY, b"2")
    calls: dict[str, Awaitable[object]] = {
        "set": sidecar.store.set(write),
        "begun": begun_write(sidecar.store, write),
        "bulk": sidecar.store.bulk_write([write]),
        "transaction": sidecar.store.transact([write]),
    }
    if how == "delete":
        monkeypatch.setattr(Away, "_carry_out", lambda self, write: self.inner.delete(write))
        await sidecar.store.delete(Delete(KEY))
        assert await sidecar.store.get(Get(KEY)) is None
    else:
        await calls.pop(how)
        found = await sidecar.store.get(Get(KEY))
        assert found is not None
        assert found.value == b"2"
    for call in calls.values():
        call.close()  # type: ignore[attr-defined]  # a coroutine


async def test_reads_that_fail_or_are_given_up_leave_nothing_behind(
    sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: Away, get: Get) -> StoredValue | None:
        raise StoreUnavailableError("the server is away")

    monkeypatch.setattr(Away, "get", fail)
    sidecar.cached.invalidate(KEY)
    assert isinstance(await error_of(sidecar.store.get(Get(KEY))), StoreUnavailableError)
    assert isinstance(await error_of(begun_get(sidecar.store, Get(KEY))), StoreUnavailableError)
    assert isinstance(await error_of(sidecar.store.bulk_get([Get(KEY)])), StoreUnavailableError)

    class GivenUp(Begun):
        def resume(self, rest: Awaitable[object]) -> None:
            rest.close()  # type: ignore[attr-defined]  # a coroutine

    sidecar.store.begin_get(Get(KEY), GivenUp())
    sidecar.store.begin_write(Set(KEY, b"2"), GivenUp())
    assert not sidecar.cached._reads


async def test_what_is_held_of_an_encrypted_store_is_encrypted(sidecar: Sidecar, database: InMemoryStore) -> None:
    store = EncryptedStore(sidecar.store, Sealing("s", [Key(bytes(range(32)), "key", "key")]))
    other = EncryptedStore(database, Sealing("s", [Key(bytes(range(32)), "key", "key")]))
    await other.set(Set(KEY, b"secret"))
    held = None
    while held is None:
        found = await store.get(Get(KEY))
        assert found is not None
        assert found.value == b"secret"
        held = sidecar.cached.get(KEY)
    assert b"secret" not in held.value
    assert await begun_get(store, Get(KEY)) == found


async def test_what_a_watch_or_a_list_has_learnt_is_not_contradicted(sidecar: Sidecar, database: InMemoryStore) -> None:
    await settled(sidecar)
    sidecar.away.is_cut = True  # for the feed of the cache
    etags = {entry.key: entry.etag for entry in (await sidecar.store.etags("app||", 100, None)).entries}
    found = await sidecar.store.get(Get(KEY))
    assert found is not None
    assert etags[KEY] == found.etag
