"""Several values in one answer: as many as fit, and no more are read than necessary."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from pannier_sidecar.state.bulk_reads import BulkItem, read_values
from pannier_sidecar.state.bytes_in_flight import READ_TOGETHER, BytesInFlight, Unlimited
from pannier_sidecar.state.errors import StoreUnavailableError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.state.store import StoredValue
from pannier_sidecar.stores.in_memory import InMemoryStore

KEYS = [f"k{number}" for number in range(3 * READ_TOGETHER)]


class CountingStore(InMemoryStore):
    def __init__(self) -> None:
        super().__init__({})
        self.trips: list[int] = []

    async def bulk_get(self, gets: Sequence[Get]) -> Any:
        self.trips.append(len(gets))
        return await super().bulk_get(gets)


@pytest.fixture
async def store() -> CountingStore:
    store = CountingStore()
    await store.open()
    for key in KEYS:
        await store.set(Set(key, b"1234567890"))
    return store


async def read(
    store: CountingStore, keys: Sequence[str], max_bytes: int, in_flight: BytesInFlight | None = None
) -> list[BulkItem]:
    in_flight = in_flight or BytesInFlight(2**25, Unlimited())
    items = await read_values(store, keys, [Get(key) for key in keys], max_bytes, in_flight)
    assert [item.key for item in items] == list(keys)
    return items


async def test_all_are_read_in_trips_of_a_hundred(store: CountingStore) -> None:
    items = await read(store, KEYS[:-1], 10 * len(KEYS))
    assert all(item.found is not None and item.found.value == b"1234567890" for item in items)
    assert store.trips == [READ_TOGETHER, READ_TOGETHER, READ_TOGETHER - 1]


async def test_values_after_a_full_answer_are_not_read(store: CountingStore) -> None:
    items = await read(store, KEYS, 15)
    assert store.trips == [READ_TOGETHER]
    assert items[0].found is not None
    for item in items[1:]:
        assert item.found is None
        assert item.error == f"values of over 15 bytes don't fit into one answer; get key {item.key!r} in another call"


async def test_a_smaller_value_of_the_same_trip_still_fits(store: CountingStore) -> None:
    await store.set(Set("small", b"12345"))
    first, large, small, absent = await read(store, ["k0", "k1", "small", "absent"], 15)
    assert (first.error, small.error) == (None, None)
    assert large.error
    assert absent == BulkItem("absent")


async def test_an_empty_request_reads_nothing(store: CountingStore) -> None:
    assert await read(store, [], 15) == []
    assert store.trips == []


async def test_a_failure_is_reported_in_its_item(store: CountingStore) -> None:
    class Failing(CountingStore):
        async def bulk_get(self, gets: Sequence[Get]) -> Any:
            return [StoreUnavailableError(f"{get.key} is away") for get in gets]

    assert await read(Failing(), ["a"], 15) == [BulkItem("a", error="a is away")]


async def test_after_large_values_fewer_are_read_together(store: CountingStore) -> None:
    in_flight = BytesInFlight(2**25, Unlimited())
    await store.set(Set("large", b"x" * 4 * 2**20))
    await read(store, ["large"], 2**25, in_flight)
    await read(store, ["large"] * 5, 2**25, in_flight)
    assert store.trips == [1, 2, 2, 1]
    await read(store, KEYS * 10, 2**25, in_flight)
    assert READ_TOGETHER in store.trips, "it was one large value, long ago"


async def test_read_values_are_counted_until_they_are_released(store: CountingStore) -> None:
    budget = Unlimited()
    in_flight = BytesInFlight(2**25, budget)
    items = await read(store, KEYS[:5], 2**25, in_flight)
    assert budget.held == 50
    del items
    assert budget.held == 0


async def test_reads_wait_for_each_other_where_values_are_large(store: CountingStore) -> None:
    in_flight = BytesInFlight(10_000, Unlimited())
    await store.set(Set("large", b"x" * 8_000))
    first = await read(store, ["large"], 10_000, in_flight)
    second = asyncio.create_task(read(store, ["large"], 10_000, in_flight))
    third = asyncio.create_task(read(store, ["large"], 10_000, in_flight))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not second.done()
    second.cancel()
    await asyncio.wait([second])
    del first, second
    assert len(await third) == 1


async def test_a_failed_read_is_no_longer_counted(store: CountingStore) -> None:
    class Failing(CountingStore):
        async def bulk_get(self, gets: Sequence[Get]) -> Any:
            raise StoreUnavailableError("away")

    budget = Unlimited()
    with pytest.raises(StoreUnavailableError):
        await read(Failing(), KEYS, 2**25, BytesInFlight(2**25, budget))
    assert budget.held == 0


async def test_a_failed_read_is_no_longer_counted_even_while_its_traceback_is_kept(store: CountingStore) -> None:
    """A connection's future refers to the error, and the error's traceback to the frame that waited for it: a cycle."""

    async def fail(gets: Sequence[Get]) -> Any:
        answer: asyncio.Future[Sequence[StoredValue]] = asyncio.get_running_loop().create_future()
        answer.set_exception(StoreUnavailableError("it is gone"))
        return await answer

    budget = Unlimited()
    in_flight = BytesInFlight(2**25, budget)
    store.bulk_get = fail  # type: ignore[method-assign]
    kept = []
    for _ in range(20):
        with pytest.raises(StoreUnavailableError) as caught:
            async with asyncio.timeout(10):
                await read(store, KEYS, 1000, in_flight)
        kept.append(caught.value)
    assert budget.held == 0
