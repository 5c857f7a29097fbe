"""One of several sidecars removes the parts that no value needs, again and again, and goes on after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pannier_sidecar.large_values import sweeping
from pannier_sidecar.large_values.layout import Keys
from pannier_sidecar.large_values.part_store import PartStore, Sizes
from pannier_sidecar.large_values.sweeping import sweep, sweep_regularly
from pannier_sidecar.state.errors import StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import KeyPage
from pannier_sidecar.stores.in_memory import InMemoryStore

KEYS = Keys("app||")
PATIENCE_S = 20.0


class CountedStore(InMemoryStore):
    """Counts sweeps, and fails as often as a test says."""

    def __init__(self) -> None:
        super().__init__({})
        self.sweeps = self.failures = 0

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        if prefix == KEYS.records:
            self.sweeps += cursor is None
            if self.failures:
                self.failures -= 1
                raise StoreUnavailableError("away")
        return await super().keys(prefix, limit, cursor)


@pytest.fixture
async def store() -> AsyncIterator[CountedStore]:
    store = CountedStore()
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def parts(store: CountedStore) -> PartStore:
    return PartStore(store, KEYS, Sizes(10, 1000, 1000, 1000))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "FIRST_AFTER_S", 0.0)


def no_jitter(_: float, __: float) -> float:
    return 1.0


async def until(store: CountedStore, sweeps: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while store.sweeps < sweeps:
            await asyncio.sleep(0.001)


async def stop(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.mark.usefixtures("quick")
async def test_one_sidecar_sweeps_for_all(store: CountedStore, parts: PartStore) -> None:
    tasks = [asyncio.create_task(sweep_regularly(lambda: parts, "s", no_jitter)) for _ in range(5)]
    for _ in range(200):
        await asyncio.sleep(0.001)
    await stop(*tasks)
    assert store.sweeps == 1
    assert (await store.get(Get(KEYS.swept))) is not None


@pytest.mark.usefixtures("quick")
async def test_a_sweep_that_fails_is_reported_and_made_again(
    store: CountedStore, parts: PartStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sweeping, "INTERVAL_S", 0.0)
    store.failures = 1
    await parts.set(Set("app||k", b"x" * 100))
    task = asyncio.create_task(sweep_regularly(lambda: parts, "s", no_jitter))
    await until(store, 3)
    await stop(task)
    assert "store s: unused parts of large values could not be removed: away" in caplog.text
    assert (await parts.get(Get("app||k"))) is not None


async def test_a_component_without_parts_is_not_swept(store: CountedStore, quick: None) -> None:
    task = asyncio.create_task(sweep_regularly(lambda: store, "s", no_jitter))
    for _ in range(50):
        await asyncio.sleep(0.001)
    await stop(task)
    assert store.sweeps == 0


async def test_parts_are_removed_in_two_steps(store: CountedStore, parts: PartStore) -> None:
    await parts.set(Set("app||k", b"x" * 100))
    await parts.delete(Delete("app||k"))
    before = (await store.keys(KEYS.root, 100, None)).keys
    assert await sweep(store, KEYS, grace=3600) == 0
    assert await sweep(store, KEYS, grace=0) == 0, "it is noted"
    assert (await store.keys(KEYS.root, 100, None)).keys == before
    assert await sweep(store, KEYS, grace=3600) == 0, "readers get their time"
    assert await sweep(store, KEYS, grace=0) == 1
    assert (await store.keys(KEYS.root, 100, None)).keys == []


async def test_a_version_that_is_used_after_all_is_kept(store: CountedStore, parts: PartStore) -> None:
    """Its manifest may become visible late."""
    await parts.set(Set("app||k", b"x" * 100))
    manifest = await store.get(Get("app||k"))
    assert manifest is not None
    await store.delete(Delete("app||k"))
    await sweep(store, KEYS, grace=0)
    await store.set(Set("app||k", manifest.value))
    for _ in range(3):
        assert await sweep(store, KEYS, grace=0) == 0
    found = await parts.get(Get("app||k"))
    assert found is not None and found.value == b"x" * 100


async def test_what_others_wrote_there_stays(store: CountedStore) -> None:
    for key in (KEYS.records + "x", KEYS.records + "0" * 32, KEYS.swept):
        await store.set(Set(key, b"not ours"))
    assert await sweep(store, KEYS, grace=0) == 0
    assert len((await store.keys(KEYS.root, 100, None)).keys) == 3
