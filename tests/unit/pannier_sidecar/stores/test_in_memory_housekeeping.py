"""Expired and deleted values free their memory, at no cost to listing."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores import in_memory
from pannier_sidecar.stores.in_memory import InMemoryStore


@pytest.fixture
async def store() -> AsyncIterator[InMemoryStore]:
    store = InMemoryStore({})
    await store.open()
    yield store
    await store.close()


class Timer:
    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due, self.call, self.is_cancelled = due, call, False

    def cancel(self) -> None:
        self.is_cancelled = True


class Clock:
    """Time passes when the test says so, for the store and for its timers."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[Timer] = []

    def monotonic(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now + seconds, call))
        return self.timers[-1]

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer.due <= end and not timer.is_cancelled]:
            first = min(due, key=lambda timer: timer.due)
            self.timers.remove(first)
            self.now = max(self.now, first.due)
            first.call()
        self.now = end


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(in_memory, "monotonic", clock.monotonic)
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", clock.call_later)
    return clock


async def test_expired_values_are_dropped_even_if_nobody_reads_them(store: InMemoryStore, clock: Clock) -> None:
    marker = bytes(1000)
    free = sys.getrefcount(marker)
    for number in range(3000):  # more than are dropped at once
        await store.set(Set(str(number), marker, ttl=3))
    await store.set(Set("stays", marker, ttl=1000))
    assert sys.getrefcount(marker) == free + 3001
    clock.advance(2.9)
    assert sys.getrefcount(marker) == free + 3001
    clock.advance(0.1 + in_memory.SWEEP_PAUSE_S)
    assert sys.getrefcount(marker) == free + 1
    assert await store.get(Get("stays")) is not None


async def test_a_short_life_is_not_kept_waiting_by_a_long_one(store: InMemoryStore, clock: Clock) -> None:
    marker = bytes(1000)
    free = sys.getrefcount(marker)
    await store.set(Set("long", b"1", ttl=100_000))
    await store.set(Set("short", marker, ttl=1))
    clock.advance(1 + in_memory.SWEEP_PAUSE_S)
    assert sys.getrefcount(marker) == free


async def test_a_key_written_again_and_again_does_not_fill_the_memory(
    store: InMemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_memory, "SWEPT_AT_ONCE", 100)
    for _ in range(10 * in_memory.SWEPT_AT_ONCE):
        await store.set(Set("k", b"1", ttl=1000))
    assert len(store._expiry._queue) < 3 * in_memory.SWEPT_AT_ONCE


async def test_nothing_is_scheduled_when_nothing_expires(store: InMemoryStore) -> None:
    await store.set(Set("k", b"1"))
    await store.set(Set("cleared", b"1", ttl=1))
    await store.close()
    timers = [timer for timer in getattr(asyncio.get_running_loop(), "_scheduled", ()) if not timer.cancelled()]
    assert not [timer for timer in timers if "sweep" in repr(timer)]


async def test_listing_keeps_up_with_keys_that_come_and_go(store: InMemoryStore) -> None:
    expected: set[str] = set()
    for number in range(5000):
        name = f"{number * 7919 % 5000:04}"
        await store.set(Set(name, b"1"))
        expected.add(name)
        if number % 3 == 0:
            gone = f"{number * 31 % 5000:04}"
            await store.delete(Delete(gone))
            expected.discard(gone)
        if number % 500 == 0:
            page = await store.keys("", 10_000, None)
            assert list(page.keys) == sorted(expected)
    await store.bulk_write([Delete(name) for name in expected])
    assert list((await store.keys("", 10_000, None)).keys) == []


async def test_etags_of_an_earlier_run_mean_nothing_now() -> None:
    etags = set()
    for _ in range(50):
        store = InMemoryStore({})
        await store.open()
        await store.set(Set("k", b"1"))
        found = await store.get(Get("k"))
        assert found is not None
        assert 0 < int(found.etag) < 2**53
        etags.add(found.etag)
        await store.close()
    assert len(etags) == 50


async def test_values_expire_when_the_time_is_advanced(store: InMemoryStore) -> None:
    await store.set(Set("short", b"1", ttl=60))
    await store.set(Set("long", b"1", ttl=3600))
    before = await store.get(Get("long"))
    store.advance(61)
    assert await store.get(Get("short")) is None
    assert await store.get(Get("long")) == before
    await store.set(Set("later", b"1", ttl=3600))
    later = await store.get(Get("later"))
    assert before is not None and later is not None and before.expires_at is not None and later.expires_at is not None
    assert 61 <= later.expires_at - before.expires_at < 70
    store.advance(3600)
    assert (await store.keys("", 10, None)).keys == []
