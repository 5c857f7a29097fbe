"""Several sidecars on one SQLite file: ETags work across them, and none waits for another longer than configured."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pannier_sidecar.state.errors import ETagMismatchError, OutcomeUnknownError, StoreUnavailableError
from pannier_sidecar.state.feeds import Feed, KeyChange
from pannier_sidecar.state.polling import feed_of
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.sqlite.store import SQLiteStore

INCREMENTER = """
import asyncio, random, sys
from pannier_sidecar.state.errors import ETagMismatchError, StoreUnavailableError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores.sqlite.store import SQLiteStore

async def increment(store):
    while True:
        found = await store.get(Get("counter"))
        try:
            if found is None:
                return await store.set(Set("counter", b"1", if_absent=True))
            return await store.set(Set("counter", str(int(found.value) + 1).encode(), found.etag))
        except ETagMismatchError:
            await asyncio.sleep(random.uniform(0, 0.02))

async def some(store):
    for _ in range(30):
        await increment(store)

async def main():
    store = SQLiteStore({"connectionString": sys.argv[1], "busyTimeout": 30.0, "timeout": 60.0})
    await store.open()
    await asyncio.gather(*(some(store) for _ in range(10)))
    await store.close()

asyncio.run(main())
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore({"connectionString": str(file), "busyTimeout": 0.2})
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def other(store: SQLiteStore, file: Path) -> Iterator[sqlite3.Connection]:
    """Another program's connection to the file."""
    connection = sqlite3.connect(file, isolation_level=None)
    yield connection
    connection.close()


async def test_two_processes_that_count_together_lose_nothing(file: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", INCREMENTER, str(file)]) for _ in range(2)]
    for process in processes:
        assert await asyncio.to_thread(process.wait, 50) == 0
    store = SQLiteStore({"connectionString": str(file)})
    await store.open()
    found = await store.get(Get("counter"))
    await store.close()
    assert found is not None
    assert found.value == b"600"


async def test_a_second_store_sees_at_once_what_the_first_wrote(store: SQLiteStore, file: Path) -> None:
    second = SQLiteStore({"connectionString": f"file:{file}?mode=rw"})
    await second.open()
    await store.set(Set("k", b"1"))
    found = await second.get(Get("k"))
    assert found is not None
    await second.set(Set("k", b"2", found.etag))
    with pytest.raises(ETagMismatchError):
        await store.delete(Delete("k", found.etag))
    await second.close()
    assert await store.get(Get("k")) is not None


async def test_a_writer_that_finds_the_file_locked_says_so_in_time_and_goes_on_later(
    store: SQLiteStore, other: sqlite3.Connection
) -> None:
    await store.set(Set("k", b"1"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match=r"locked by another process for longer than busyTimeout \(0.2 s\)"):
        await store.set(Set("k", b"2"))
    other.execute("COMMIT")
    await store.set(Set("k", b"3"))
    found = await store.get(Get("k"))
    assert found is not None
    assert found.value == b"3"


async def test_readers_do_not_wait_for_writers(store: SQLiteStore, other: sqlite3.Connection) -> None:
    await store.set(Set("k", b"1"))
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(store.set(Set("k", b"2")))
    await asyncio.sleep(0)
    found = await store.get(Get("k"))
    assert found is not None
    assert not writing.done()
    assert found.value == b"1"
    other.execute("COMMIT")
    await writing


async def test_a_call_ends_within_its_timeout(file: Path, store: SQLiteStore, other: sqlite3.Connection) -> None:
    hasty = SQLiteStore({"connectionString": str(file), "busyTimeout": 30.0, "timeout": 0.3})
    await hasty.open()
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with pytest.raises(OutcomeUnknownError, match=r"no answer within 0.3 s"):
        await hasty.set(Set("k", b"1"))
    assert time.monotonic() - started < 10
    other.execute("COMMIT")
    await hasty.set(Set("k", b"2"))
    await hasty.close()


async def test_two_components_keep_their_state_in_tables_of_one_file(store: SQLiteStore, file: Path) -> None:
    second = SQLiteStore({"connectionString": str(file), "tableName": "orders"})
    await second.open()
    await store.set(Set("k", b"1"))
    assert await second.get(Get("k")) is None
    await second.set(Set("k", b"2", if_absent=True))
    await second.close()
    found = await store.get(Get("k"))
    assert found is not None
    assert found.value == b"1"


async def test_stores_that_start_together_lay_out_the_file_together(file: Path) -> None:
    stores = [SQLiteStore({"connectionString": str(file)}) for _ in range(10)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(store.set(Set(str(number), b"1")) for number, store in enumerate(stores)))
    page = await stores[0].keys("", 100, None)
    assert len(page.keys) == 10
    await asyncio.gather(*(store.close() for store in stores))


async def test_changes_are_found_long_before_the_interval_whoever_has_made_them(store: SQLiteStore, file: Path) -> None:
    other = SQLiteStore({"connectionString": str(file)})
    await other.open()
    feed = feed_of(store, "", 3600)
    await anext(feed)
    async with asyncio.timeout(60):
        await store.set(Set("own", b"1"))
        assert await keys_reported(feed) == {"own"}
        await other.set(Set("other's", b"1"))
        assert await keys_reported(feed) == {"other's"}
        await store.delete(Delete("own"))
        assert await keys_reported(feed) == {"own"}
    await feed.aclose()
    await other.close()


async def test_changes_of_a_database_in_memory_are_found_long_before_the_interval() -> None:
    store = SQLiteStore({"connectionString": ":memory:"})
    await store.open()
    feed = feed_of(store, "", 3600)
    await anext(feed)
    async with asyncio.timeout(60):
        await store.set(Set("own", b"1"))
        assert await keys_reported(feed) == {"own"}
    await feed.aclose()
    await store.close()


async def keys_reported(feed: Feed) -> set[str]:
    while True:
        if keys := {entry.key for entry in await anext(feed) if isinstance(entry, KeyChange)}:
            return keys
