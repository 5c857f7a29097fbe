"""Bulk reads answer in the order of the request; bulk writes run in order and independently."""

import pytest
from conformance.calls import REFUSED, agree, deletes, present, sets, write_all, written
from conformance.conftest import Keys
from servers.database import Database
from servers.reads import value_of

from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Feature, Store

pytestmark = pytest.mark.topic("bulk calls")


async def test_reads_come_back_in_the_order_asked(subject: Database, store: Store, key: Keys) -> None:
    assert list(await store.bulk_get([])) == []
    names = [f"k{number:04}" for number in range(min(1200, subject.many))]
    await write_all(store, [Set(key(name), name.encode()) for name in names])
    asked = [*reversed(names), "absent", *names[:3], "absent"]
    found = await store.bulk_get([Get(key(name)) for name in asked])
    assert [entry and entry.value for entry in found] == [None if n == "absent" else n.encode() for n in asked]


async def test_a_bulk_read_returns_etag_and_value_like_a_single_one(store: Store, key: Keys) -> None:
    ttl = 1000 if Feature.TTL in store.features else None
    await write_all(store, [*sets([key("a"), key("b")]), Set(key("c"), b"1", ttl=ttl)])
    singles = [await present(store, key(name)) for name in "abc"]
    pairs = zip(singles, await store.bulk_get([Get(key(name)) for name in "abc"]), strict=True)
    assert [pair for pair in pairs if not agree(*pair)] == []


async def test_writes_to_one_key_run_in_order(store: Store, key: Keys) -> None:
    assert list(await store.bulk_write([])) == []
    await write_all(store, [Set(key("k"), str(number).encode()) for number in range(50)])
    assert await value_of(store, key("k")) == b"49"
    await write_all(store, [Set(key("k"), b"50"), Delete(key("k"))])
    assert await value_of(store, key("k")) is None
    await write_all(store, [Delete(key("k")), Set(key("k"), b"51"), Delete(key("k")), Set(key("k"), b"52")])
    assert await value_of(store, key("k")) == b"52"


@pytest.mark.topic("ETags", Feature.ETAG)
async def test_a_precondition_sees_earlier_writes_of_the_same_bulk(store: Store, key: Keys) -> None:
    errors = await store.bulk_write(
        [
            Set(key("k"), b"1", if_absent=True),
            Set(key("k"), b"2", if_absent=True),
            Delete(key("k")),
            Set(key("k"), b"3", if_absent=True),
        ]
    )
    assert [isinstance(error, REFUSED) for error in errors] == [False, True, False, False]
    assert await value_of(store, key("k")) == b"3"


@pytest.mark.topic("ETags", Feature.ETAG)
async def test_one_failure_is_reported_for_its_own_item_and_the_others_are_written(store: Store, key: Keys) -> None:
    known = await written(store, key("known"))
    errors = await store.bulk_write(
        [
            Set(key("a"), b"1"),
            Set(key("known"), b"wrong", "1"),
            Set(key("b"), b"1"),
            Delete(key("known"), "1"),
            Set(key("known"), b"right", known.etag),
            Delete(key("absent"), "1"),
            Delete(key("absent")),
            Set(key("c"), b"1", if_absent=True),
        ]
    )
    assert [isinstance(error, REFUSED) for error in errors] == [False, True, False, True, False, True, False, False]
    assert [error for error in errors if error is None] == [None] * 5
    assert key("known") in str(errors[1])
    assert [await value_of(store, key(name)) for name in ("a", "b", "c", "known")] == [b"1", b"1", b"1", b"right"]


@pytest.mark.topic("ETags", Feature.ETAG)
async def test_creations_in_bulk_happen_for_absent_keys_only(store: Store, key: Keys) -> None:
    names = [key(str(number)) for number in range(12)]
    await write_all(store, sets(names[::3]))
    faults = await store.bulk_write([Set(name, b"created", if_absent=True) for name in names])
    assert [isinstance(fault, REFUSED) for fault in faults] == [True, False, False] * 4
    assert [fault for fault in faults if fault is None] == [None] * 8
    assert all(name in str(fault) for name, fault in zip(names, faults, strict=True) if fault)
    assert [await value_of(store, name) == b"created" for name in names] == [False, True, True] * 4


@pytest.mark.topic("ETags", Feature.ETAG)
async def test_conditional_writes_in_bulk_happen_for_current_etags_only(store: Store, key: Keys) -> None:
    names = [key(str(number)) for number in range(12)]
    await write_all(store, sets(names[::-1]))
    etags = [(await present(store, name)).etag for name in names]
    await write_all(store, [*sets(names[::3]), *deletes(names[1::3])])
    writes = [Set(name, b"replaced", etag) for name, etag in zip(names, etags, strict=True)]
    faults = await store.bulk_write(writes)
    assert [isinstance(fault, REFUSED) for fault in faults] == [True, True, False] * 4
    assert [fault for fault in faults if fault is None] == [None] * 4
    assert [await value_of(store, name) == b"replaced" for name in names] == [False, False, True] * 4
    assert not {(await present(store, name)).etag for name in names[2::3]} & set(etags)
    assert all(isinstance(fault, REFUSED) for fault in await store.bulk_write(writes))


async def test_deletes_remove_what_is_there_and_pass_over_what_is_not(store: Store, key: Keys) -> None:
    names = [key(str(number)) for number in range(10)]
    await write_all(store, sets(names[::2]))
    assert not any(await store.bulk_write(deletes(names)))
    assert not any(await store.bulk_get([Get(name) for name in names]))


async def test_large_values_go_together(subject: Database, store: Store, key: Keys) -> None:
    value = b"\x80" * min(1 << 20, subject.largest_value or 1 << 20)
    names = [key(str(number)) for number in range(8)]
    assert list(await store.bulk_write(sets(names, value))) == [None] * 8
    found = await store.bulk_get([Get(name) for name in names])
    assert [entry and entry.value for entry in found] == [value] * 8
