"""A store that reports nothing is polled: its feed reports what differs between two lists."""

from collections.abc import AsyncIterator

import pytest

from pannier_sidecar.state import polling
from pannier_sidecar.state.errors import NotSupportedError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.feeds import Alive, ChangesBy, Gap, KeyChange
from pannier_sidecar.state.polling import feed_of, lag_of
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Store, StoredValue
from pannier_sidecar.stores.in_memory import InMemoryStore


class PolledStore(InMemoryStore):
    """Memory whose changes become known by polling only, and one of whose values may be unreadable."""

    changes_by = ChangesBy.POLL
    unreadable = ""

    async def bulk_get(self, gets: list[Get]) -> list[StoredValue | StoreUnavailableError | None]:  # type: ignore[override]
        found = await super().bulk_get(gets)
        broken = StoreUnavailableError("broken")
        return [broken if get.key == self.unreadable else one for get, one in zip(gets, found, strict=True)]


@pytest.fixture
async def store() -> AsyncIterator[PolledStore]:
    store = PolledStore({})
    await store.open()
    yield store
    await store.close()


async def etag(store: Store, key: str) -> str:
    found = await store.get(Get(key))
    assert found is not None
    return found.etag


async def test_it_reports_what_differs(store: PolledStore) -> None:
    for key in ("same", "changed", "deleted", "x other"):
        await store.set(Set(key, b"1"))
    feed = feed_of(store, "", 0.001)
    [first] = await anext(feed)
    assert isinstance(first, Alive)
    await store.set(Set("changed", b"1"))
    await store.set(Set("added", b"1"))
    await store.delete(Delete("deleted"))
    *changes, alive = await anext(feed)
    assert isinstance(alive, Alive)
    assert alive.as_of > first.as_of
    assert {change.key: change.etag for change in changes if isinstance(change, KeyChange)} == {
        "changed": await etag(store, "changed"),
        "added": await etag(store, "added"),
        "deleted": None,
    }
    assert [type(entry) for entry in await anext(feed)] == [Alive]
    await feed.aclose()


async def test_many_differences_come_in_batches(store: PolledStore) -> None:
    feed = feed_of(store, "", 0.001)
    await anext(feed)
    for number in range(2 * polling.BATCH + 1):
        await store.set(Set(str(number), b"1"))
    sizes = [len(await anext(feed)) for _ in range(3)]
    assert sizes == [polling.BATCH, polling.BATCH, 2]
    await feed.aclose()


async def test_it_cannot_go_on_from_a_position(store: PolledStore) -> None:
    feed = feed_of(store, "", 0.001, since="7")
    gap, alive = await anext(feed)
    assert isinstance(gap, Gap)
    assert isinstance(alive, Alive)
    await feed.aclose()


async def test_too_many_keys_are_refused(store: PolledStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "MAX_KEYS", 3)
    for number in range(4):
        await store.set(Set(str(number), b"1"))
    with pytest.raises(StoreRefusedError, match="another keyPrefix"):
        await anext(feed_of(store, "", 0.001))


async def test_a_key_that_cannot_be_read_ends_the_feed(store: PolledStore) -> None:
    feed = feed_of(store, "", 0.001)
    await anext(feed)
    await store.set(Set("a", b"1"))
    store.unreadable = "a"
    with pytest.raises(StoreUnavailableError):
        await anext(feed)


async def test_a_store_with_a_feed_of_its_own_is_not_polled() -> None:
    store = InMemoryStore({})
    await store.open()
    assert lag_of(store, 60) == store.feed_lag_s
    feed = feed_of(store, "", 60)
    await anext(feed)
    await store.set(Set("a", b"1"))
    [change, alive] = await anext(feed)
    assert change == KeyChange("a", await etag(store, "a"))
    assert isinstance(alive, Alive)
    await store.close()


async def test_a_store_without_both_says_so() -> None:
    store = PolledStore({})
    store.changes_by = ChangesBy.NONE
    with pytest.raises(NotSupportedError):
        await anext(Store.feed(store, ""))
