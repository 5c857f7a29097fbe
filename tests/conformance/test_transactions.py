"""A transaction happens completely and in order, or not at all."""

import pytest
from conformance.calls import REFUSED, error_of, present, written
from conformance.conftest import Keys
from servers.database import Database
from servers.reads import value_of

from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.store import Feature, Store

pytestmark = pytest.mark.topic("transactions", Feature.TRANSACTIONAL)


async def test_writes_and_deletes_happen_together(store: Store, key: Keys) -> None:
    await store.transact([])
    await written(store, key("gone"))
    await store.transact([Set(key("a"), b"1"), Delete(key("gone")), Set(key("b"), b"2"), Delete(key("never there"))])
    assert [await value_of(store, key(name)) for name in ("a", "b", "gone")] == [b"1", b"2", None]


async def test_the_last_operation_on_a_key_wins(store: Store, key: Keys) -> None:
    await store.transact(
        [
            Delete(key("a")),
            Set(key("a"), b"1"),
            Delete(key("a")),
            Set(key("b"), b"1"),
            Delete(key("b")),
            Set(key("b"), b"2"),
            Set(key("c"), b"1"),
            Set(key("c"), b"2"),
        ]
    )
    assert [await value_of(store, key(name)) for name in "abc"] == [None, b"2", b"2"]
    etag = (await present(store, key("c"))).etag
    await store.set(Set(key("c"), b"3", etag))
    assert await value_of(store, key("c")) == b"3"


FAILING: dict[str, Write] = {
    "stale set": Set("known", b"2", "1"),
    "set of a present key": Set("known", b"2", if_absent=True),
    "set with ETag of an absent key": Set("absent", b"2", "1"),
    "stale delete": Delete("known", "1"),
    "delete if absent": Delete("known", if_absent=True),
    "delete with ETag of an absent key": Delete("absent", "1"),
}


async def test_nothing_happens_when_one_precondition_fails(store: Store, key: Keys, subtests: pytest.Subtests) -> None:
    """Each kind of precondition in two of four places: the last, and another."""
    for number, (name, failing) in enumerate(FAILING.items()):
        for place in (number % 3, 3):
            with subtests.test(f"{name}, in place {place}"):
                await nothing_happens(store, lambda part, number=number: key(f"{number} {part}"), failing, place)


async def nothing_happens(store: Store, key: Keys, failing: Write, place: int) -> None:
    before = await written(store, key("known"))
    victim = await written(store, key("victim"))
    writes: list[Write] = [Set(key("a"), b"1"), Delete(key("victim")), Set(key("known"), b"3", before.etag)]
    writes.insert(place, placed(failing, key))
    error = await error_of(store.transact(writes))
    assert isinstance(error, REFUSED)
    assert key(failing.key) in str(error)
    assert await value_of(store, key("a")) is None
    assert await present(store, key("known")) == before
    assert await present(store, key("victim")) == victim


async def test_all_happens_when_all_preconditions_hold(store: Store, key: Keys) -> None:
    first = await written(store, key("first"))
    second = await written(store, key("second"))
    await store.transact(
        [
            Set(key("first"), b"2", first.etag),
            Delete(key("second"), second.etag),
            Set(key("third"), b"1", if_absent=True),
            Delete(key("fourth"), if_absent=True),
        ]
    )
    assert [await value_of(store, key(name)) for name in ("first", "second", "third", "fourth")] == [
        b"2",
        None,
        b"1",
        None,
    ]


async def test_preconditions_speak_of_the_state_before_the_transaction(store: Store, key: Keys) -> None:
    before = await written(store, key("k"))
    await store.transact([Set(key("k"), b"1", before.etag), Set(key("k"), b"2", before.etag)])
    assert await value_of(store, key("k")) == b"2"
    await store.transact([Set(key("new"), b"1", if_absent=True), Set(key("new"), b"2", if_absent=True)])
    assert await value_of(store, key("new")) == b"2"
    await store.transact([Set(key("other"), b"1"), Set(key("other"), b"2", if_absent=True)])
    assert await value_of(store, key("other")) == b"2"
    there = await written(store, key("present"))
    writes: list[Write] = [Delete(key("present")), Set(key("present"), b"2", if_absent=True)]
    assert isinstance(await error_of(store.transact(writes)), REFUSED)
    assert await present(store, key("present")) == there


async def test_expiry_is_set_and_cleared(store: Store, key: Keys) -> None:
    await store.set(Set(key("cleared"), b"1", ttl=1000))
    await store.transact([Set(key("set"), b"1", ttl=1000), Set(key("cleared"), b"2")])
    assert (await present(store, key("set"))).expires_at is not None
    assert (await present(store, key("cleared"))).expires_at is None


async def test_many_operations_happen_together(subject: Database, store: Store, key: Keys) -> None:
    count = min(store.max_transaction or subject.many, subject.many)
    writes = [Set(key(str(number)), str(number).encode()) for number in range(count)]
    await store.transact(writes)
    found = await store.bulk_get([Get(write.key) for write in writes])
    assert [entry and entry.value for entry in found] == [write.value for write in writes]


def placed(write: Write, key: Keys) -> Write:
    if isinstance(write, Set):
        return Set(key(write.key), write.value, write.if_match, write.if_absent)
    return Delete(key(write.key), write.if_match, write.if_absent)
