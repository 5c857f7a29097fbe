"""Expired rows are removed from the file in the background, unless cleaning is switched off."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores.sqlite.store import SQLiteStore

PATIENCE_S = 20

Open = Callable[..., Awaitable[SQLiteStore]]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    stores: list[SQLiteStore] = []

    async def open_store(**settings: float) -> SQLiteStore:
        store = SQLiteStore({"connectionString": str(tmp_path / "state.db"), **settings})
        await store.open()
        stores.append(store)
        return store

    yield open_store
    for store in stores:
        await store.close()


def rows(tmp_path: Path) -> set[str]:
    connection = sqlite3.connect(tmp_path / "state.db")
    try:
        return {key for (key,) in connection.execute("SELECT key FROM state")}
    finally:
        connection.close()


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "never came about"
        await asyncio.sleep(0.05)


async def test_are_removed_and_the_others_stay(opened: Open, tmp_path: Path) -> None:
    store = await opened(cleanupInterval=0.1)
    await store.set(Set("later", b"1", ttl=1000))
    await store.bulk_write([Set(f"soon {number}", b"1", ttl=1) for number in range(2500)])
    await store.set(Set("never", b"1"))
    await until(lambda: rows(tmp_path) == {"later", "never"})
    await store.set(Set("soon again", b"1", ttl=1))
    await until(lambda: rows(tmp_path) == {"later", "never"})
    assert await store.get(Get("later")) is not None


async def test_are_removed_after_a_restart(opened: Open, tmp_path: Path) -> None:
    first = await opened(cleanupInterval=0.0)
    await first.transact([Set("expired", b"1", ttl=1), Set("stays", b"1")])
    await first.close()
    await opened(cleanupInterval=0.1)
    await until(lambda: rows(tmp_path) == {"stays"})


async def test_stay_when_cleaning_is_switched_off_and_are_not_returned(opened: Open, tmp_path: Path) -> None:
    store = await opened(cleanupInterval=0.0)
    await store.set(Set("expired", b"1", ttl=1))
    while await store.get(Get("expired")) is not None:
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.5)
    assert rows(tmp_path) == {"expired"}
    assert await store.get(Get("expired")) is None


async def test_cleaning_goes_on_after_the_file_was_locked(opened: Open, tmp_path: Path) -> None:
    store = await opened(cleanupInterval=0.1, busyTimeout=0.1)
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    while True:  # try again if it was removed before the file was locked
        await store.set(Set("expired", b"1", ttl=1))
        other.execute("BEGIN IMMEDIATE")
        if rows(tmp_path):
            break
        other.execute("COMMIT")
    await asyncio.sleep(2.5)
    assert rows(tmp_path) == {"expired"}
    other.execute("COMMIT")
    other.close()
    await until(lambda: not rows(tmp_path))


async def test_no_timer_runs_while_nothing_expires(opened: Open) -> None:
    before = len(getattr(asyncio.get_running_loop(), "_scheduled", ()))
    store = await opened()
    await store.set(Set("k", b"1"))
    await store.get(Get("k"))
    pending = [timer for timer in getattr(asyncio.get_running_loop(), "_scheduled", ()) if not timer.cancelled()]
    assert len(pending) <= before
