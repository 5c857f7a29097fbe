"""A file that Dapr 1.18 wrote is read and written like ours, and Dapr can read ours."""

import base64
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pannier_sidecar.state.errors import ETagMismatchError, StoreRefusedError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import StoredValue
from pannier_sidecar.stores.sqlite.store import SQLiteStore

UUID = "0f5f8a1c-2b57-4d8e-9a0e-2f1c1a6e9d11"

LAYOUT = """
CREATE TABLE metadata (key text NOT NULL PRIMARY KEY, value text NOT NULL);
INSERT INTO metadata VALUES ('migrations', '1'), ('last-cleanup', CURRENT_TIMESTAMP);
CREATE TABLE state (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    is_binary BOOLEAN NOT NULL,
    etag TEXT NOT NULL,
    expiration_time TIMESTAMP DEFAULT NULL,
    update_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO state (key, value, is_binary, etag, expiration_time) VALUES
    ('app||text', '{"a":1}', 0, '{uuid}', NULL),
    ('app||bytes', '/wCA', 1, '{uuid}', NULL),
    ('app||expired', '1', 0, '{uuid}', DATETIME(CURRENT_TIMESTAMP, '-10 seconds')),
    ('app||expiring', '1', 0, '{uuid}', DATETIME(CURRENT_TIMESTAMP, '+1000 seconds')),
    ('app||broken', 'no base64', 1, '{uuid}', NULL),
    ('app||timeless', '1', 0, '{uuid}', 'tomorrow');
""".replace("{uuid}", UUID)


@pytest.fixture
def dapr(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Dapr's own connection to the file."""
    connection = sqlite3.connect(tmp_path / "data.db", isolation_level=None)
    connection.executescript(LAYOUT)
    yield connection
    connection.close()


@pytest.fixture
async def store(dapr: sqlite3.Connection, tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    connection_string = f"file:{tmp_path}/data.db?_txlock=immediate&_pragma=cache_size(-500)"
    store = SQLiteStore({"connectionString": connection_string, "cleanupInterval": 0.0})
    await store.open()
    yield store
    await store.close()


def read_by_dapr(dapr: sqlite3.Connection, key: str) -> bytes | None:
    row = dapr.execute(
        "SELECT value, is_binary FROM state WHERE key = ?"
        " AND (expiration_time IS NULL OR expiration_time > CURRENT_TIMESTAMP)",
        (key,),
    ).fetchone()
    if row is None:
        return None
    return base64.b64decode(row[0]) if row[1] else row[0].encode()


async def test_its_rows_are_read(store: SQLiteStore) -> None:
    assert await store.get(Get("app||text")) == StoredValue(b'{"a":1}', UUID)
    assert await store.get(Get("app||bytes")) == StoredValue(b"\xff\x00\x80", UUID)
    assert await store.get(Get("app||expired")) is None
    expiring = await store.get(Get("app||expiring"))
    assert expiring is not None
    assert expiring.expires_at is not None
    assert time.time() + 990 < expiring.expires_at < time.time() + 1001


async def test_a_malformed_row_fails_alone(store: SQLiteStore) -> None:
    with pytest.raises(StoreRefusedError, match="is no base64"):
        await store.get(Get("app||broken"))
    with pytest.raises(StoreRefusedError, match="tomorrow"):
        await store.get(Get("app||timeless"))
    text, broken, absent = await store.bulk_get([Get("app||text"), Get("app||broken"), Get("app||absent")])
    assert isinstance(text, StoredValue)
    assert isinstance(broken, StoreRefusedError)
    assert absent is None
    await store.set(Set("app||broken", b"1"))
    assert await store.get(Get("app||broken")) is not None


async def test_its_etags_guard_writes(store: SQLiteStore) -> None:
    with pytest.raises(ETagMismatchError):
        await store.set(Set("app||text", b"2", UUID.replace("0", "1")))
    await store.set(Set("app||text", b"2", UUID))
    with pytest.raises(ETagMismatchError):
        await store.set(Set("app||text", b"3", UUID))
    await store.delete(Delete("app||bytes", UUID))
    with pytest.raises(ETagMismatchError):
        await store.set(Set("app||expired", b"2", UUID))
    await store.set(Set("app||expired", b"2", if_absent=True))


@pytest.mark.parametrize("value", [b'{"a": 1}', b"", b"\xff", "ü😀".encode(), b"a\0b"])
async def test_it_reads_our_rows(store: SQLiteStore, dapr: sqlite3.Connection, value: bytes) -> None:
    await store.set(Set("k", value))
    assert read_by_dapr(dapr, "k") == value


async def test_json_is_readable_in_the_file(store: SQLiteStore, dapr: sqlite3.Connection) -> None:
    await store.set(Set("k", b'{"a": [1, 2]}'))
    assert dapr.execute("SELECT json_extract(value, '$.a[1]') FROM state WHERE key = 'k'").fetchone() == (2,)


async def test_it_knows_when_our_rows_expire(store: SQLiteStore, dapr: sqlite3.Connection) -> None:
    await store.set(Set("k", b"1", ttl=1000))
    assert read_by_dapr(dapr, "k") == b"1"
    [text] = dapr.execute("SELECT expiration_time FROM state WHERE key = 'k'").fetchone()
    expires = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    assert time.time() + 990 < expires < time.time() + 1001
    assert dapr.execute("SELECT expiration_time > DATETIME(CURRENT_TIMESTAMP, '+990 seconds') FROM state"
                        " WHERE key = 'k'").fetchone() == (1,)  # fmt: skip


async def test_its_writes_with_our_etags_succeed_and_change_them(store: SQLiteStore, dapr: sqlite3.Connection) -> None:
    await store.set(Set("k", b"1"))
    ours = await store.get(Get("k"))
    assert ours is not None
    update = "UPDATE state SET value = '2', etag = ?, is_binary = 0 WHERE key = 'k' AND etag = ?"
    assert dapr.execute(update, (UUID, ours.etag)).rowcount == 1
    assert await store.get(Get("k")) == StoredValue(b"2", UUID)
    with pytest.raises(ETagMismatchError):
        await store.set(Set("k", b"3", ours.etag))


async def test_the_layout_is_still_the_one_that_it_knows(store: SQLiteStore, dapr: sqlite3.Connection) -> None:
    assert dapr.execute("SELECT value FROM metadata WHERE key = 'migrations'").fetchone() == ("1",)
    assert dapr.execute("SELECT count(*) FROM metadata").fetchone() == (2,)


async def test_a_file_without_a_metadata_table_is_taken_over(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "old.db")
    connection.executescript("\n".join(LAYOUT.splitlines()[3:]))
    connection.close()
    store = SQLiteStore({"connectionString": str(tmp_path / "old.db")})
    await store.open()
    assert await store.get(Get("app||text")) == StoredValue(b'{"a":1}', UUID)
    await store.close()
