"""A feed reports what happens to the keys with a prefix, in order, and says when it may have missed something."""

import asyncio
import random

import pytest
from conformance.calls import present, send_each, sets, ways_of, write_all, written
from conformance.conftest import Keys
from conformance.feeds import Followed, followed, is_in_order
from servers.database import Database

from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.state.feeds import UNREAD, Alive, ChangesBy, Gap, KeyChange
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Feature, Store

pytestmark = [
    pytest.mark.topic("changes"),
    pytest.mark.on.with_args(lambda database: database.changes_by is not ChangesBy.NONE),
]

with_expiry = pytest.mark.needs(Feature.TTL)


async def test_writes_and_deletes_are_reported(
    store: Store, key: Keys, prefix: str, subject: Database, subtests: pytest.Subtests
) -> None:
    assert store.changes_by is subject.changes_by, "the README's table says how changes become known"
    async with followed(store, prefix) as feed:
        assert isinstance(feed.entries[0], Alive)
        for way in ways_of(subject):
            names = [key(f"{way} {number}") for number in range(3)]
            errors = await send_each(store, way, [Set(name, b"1") for name in names])
            await feed.until_now()
            with subtests.test(f"written {way}"):
                assert not any(errors)
                for name in names:
                    assert feed.etags(name)[-1] in (UNREAD, (await present(store, name)).etag)
            errors = await send_each(store, way, [Delete(name) for name in names])
            await feed.until_now()
            with subtests.test(f"deleted {way}"):
                assert not any(errors)
                assert [feed.etags(name)[-1] in (UNREAD, None) for name in names] == [True] * 3
        assert not feed.has_gap


async def test_several_writes_of_one_key_are_reported(store: Store, key: Keys, prefix: str, subject: Database) -> None:
    async with followed(store, prefix) as feed:
        await write_all(store, [Set(key("a"), b"1"), Set(key("a"), b"2"), Delete(key("b")), Set(key("b"), b"1")])
        await feed.until_now()
        for name in ("a", "b"):
            assert feed.etags(key(name))[-1] in (UNREAD, (await present(store, key(name))).etag)


async def test_an_awkward_key_is_reported_as_it_is(store: Store, key: Keys, prefix: str) -> None:
    names = [key(name) for name in ("a b", "a:b", "a/b", "ä😀", "a%20b", "a*?[b]", "a\\b", "a'b\"c", "a.b.>", "a,b\tc")]
    async with followed(store, prefix) as feed:
        written_ones = [name for name in names if await _is_taken(store, name)]
        await feed.until_now()
        assert {entry.key for entry in feed.entries if isinstance(entry, KeyChange)} == set(written_ones)


async def _is_taken(store: Store, name: str) -> bool:
    """Write a key, and return whether the store takes it."""
    try:
        await store.set(Set(name, b"1"))
    except StoreError:
        return False
    return True


async def test_only_keys_with_the_prefix_are_reported(store: Store, key: Keys, subtests: pytest.Subtests) -> None:
    names = ["a", "ab", "ab1", "aB", "b", "a%", "a%b", "a_", "a_b", "a*", "a*b", "a?b", "a[b]", "axb", "a\\b"]
    for start in ("ab", "a%", "a_", "a*", "a?", "a[b]", "a\\", "b"):
        with subtests.test(f"prefix {start!r}"):
            async with followed(store, key(start)) as feed:
                await write_all(store, sets([key(name) for name in names]))
                await feed.until_now()
                reported = {entry.key for entry in feed.entries if isinstance(entry, KeyChange)}
                assert reported == {key(name) for name in names if name.startswith(start)}


async def test_the_changes_of_a_key_are_in_order(store: Store, key: Keys, prefix: str) -> None:
    names = [key(str(number)) for number in range(5)]
    async with followed(store, prefix) as feed:
        writers = asyncio.gather(*(_history(store, name) for name in names))
        while not writers.done():
            await feed.take()
        histories = await writers
        await feed.until_now()
    assert not feed.has_gap
    for name, history in zip(names, histories, strict=True):
        assert is_in_order(feed.etags(name), history), name


async def _history(store: Store, name: str) -> list[str | None]:
    """Write and delete a key several times, and return its ETags; None: it was deleted."""
    history: list[str | None] = []
    for _ in range(20):
        if history and random.random() < 0.3:
            await store.delete(Delete(name))
            history.append(None)
        else:
            history.append((await written(store, name)).etag)
    return history


@with_expiry
async def test_an_expiry_is_reported(store: Store, key: Keys, prefix: str) -> None:
    await store.set(Set(key("before"), b"1", ttl=3))
    async with followed(store, prefix) as feed:
        expected = {key("after")}
        if await store.get(Get(key("before"))) is not None:  # on a slow machine it may be gone before the feed began
            expected.add(key("before"))
        await store.set(Set(key("after"), b"1", ttl=1))
        await store.set(Set(key("prolonged"), b"1", ttl=1))
        await store.set(Set(key("prolonged"), b"1"))
        while expected:
            expected -= await _gone_in_the_next_batch(feed, store, expected)
        assert feed.etags(key("prolonged"))[-1] is not None
        await present(store, key("prolonged"))


async def _gone_in_the_next_batch(feed: Followed, store: Store, names: set[str]) -> set[str]:
    """Take a batch, and return those keys of which it reports that they are gone, or must be read and are gone."""
    before = {name: len(feed.etags(name)) for name in names}
    await feed.take()
    last = {name: feed.etags(name)[before[name] :][-1:] for name in names}
    unread = [name for name in names if last[name] == [UNREAD]]
    gone = {name for name in names if last[name] == [None]}
    return gone | {name for name in unread if await store.get(Get(name)) is None}


async def test_it_shows_that_it_is_alive(store: Store, prefix: str) -> None:
    async with followed(store, prefix) as feed:
        for _ in range(3):
            await feed.until_now()
    times = [entry.as_of for entry in feed.entries if isinstance(entry, Alive)]
    assert times == sorted(times)
    assert not feed.has_gap


async def test_a_later_feed_goes_on_from_a_position(store: Store, key: Keys, prefix: str) -> None:
    async with followed(store, prefix) as feed:
        await written(store, key("before"))
        await feed.until_now()
    positions = [entry.position for entry in feed.entries if isinstance(entry, KeyChange | Alive)]
    await written(store, key("meanwhile"))
    await written(store, key("gone"))
    await store.delete(Delete(key("gone")))
    async with followed(store, prefix, positions[-1] or "unknown") as later:
        await written(store, key("after"))
        await later.until_now()
        await later.until_now()
    assert later.etags(key("after"))[-1] in (UNREAD, (await present(store, key("after"))).etag)
    if not later.has_gap:
        assert later.etags(key("meanwhile"))[-1] in (UNREAD, (await present(store, key("meanwhile"))).etag)
        assert later.etags(key("gone"))[-1] in (UNREAD, None)
        assert later.etags(key("before")) == []


async def test_a_position_that_nobody_knows_is_a_gap(store: Store, prefix: str, subtests: pytest.Subtests) -> None:
    for position in ("x", "0", "-1", "ü", "9" * 40, "0/0", "a" * 1000):
        with subtests.test(position[:10]):
            async with followed(store, prefix, position) as feed:
                assert isinstance(feed.entries[0], Gap)
                await feed.until_now()


async def test_feeds_do_not_disturb_each_other(store: Store, key: Keys) -> None:
    async with followed(store, key("a")) as one, followed(store, key("")) as every:
        async with followed(store, key("b")) as other:
            await write_all(store, sets([key("a1"), key("b1")]))
            for feed in (one, every, other):
                await feed.until_now()
        await write_all(store, sets([key("a2"), key("b2")]))
        await one.until_now()
        await every.until_now()
    assert [bool(one.etags(key(name))) for name in ("a1", "b1", "a2", "b2")] == [True, False, True, False]
    assert [bool(every.etags(key(name))) for name in ("a1", "b1", "a2", "b2")] == [True] * 4
    assert [bool(other.etags(key(name))) for name in ("a1", "b1", "a2", "b2")] == [False, True, False, False]


async def test_a_slow_consumer_learns_each_last_state_or_that_there_is_a_gap(
    store: Store, key: Keys, prefix: str, subject: Database
) -> None:
    names = [key(str(number)) for number in range(subject.many // 4)]
    async with followed(store, prefix) as feed:
        for _ in range(20):  # 10,000 changes on most stores
            await write_all(store, sets(names))
        await feed.until_now()
        if not feed.has_gap:
            for name in random.sample(names, min(50, len(names))):
                assert feed.etags(name)[-1] in (UNREAD, (await present(store, name)).etag)
        await written(store, key("later"))
        await feed.until_now()
        assert feed.etags(key("later"))


async def test_feeds_may_be_closed_at_any_time(store: Store, key: Keys, prefix: str) -> None:
    unbegun = Followed(store, prefix)
    await unbegun.close()
    for _ in range(20):
        async with followed(store, prefix) as feed:
            waiting = asyncio.create_task(feed.take())
            await asyncio.sleep(random.random() / 100)
            waiting.cancel()
            await asyncio.wait([waiting])
    async with followed(store, prefix) as feed:
        await written(store, key("a"))
        await feed.until_now()
        assert feed.etags(key("a"))


async def test_a_feed_ends_with_its_store(store: Store, prefix: str) -> None:
    async with followed(store, prefix) as feed:
        await store.close()
        with pytest.raises(StoreError):
            while True:
                await feed.take()
