"""The rows of the state table: reading, checking, writing and listing them.

A value that is UTF-8 text is stored as it is, so that `sqlite3` shows JSON as JSON and Dapr reads it; any other is
stored in base64 and marked as binary. Times are UTC text, which sorts by time. Unlike Dapr's, ours have milliseconds.
Every method that writes must be called inside a transaction that holds the write lock.
"""

from __future__ import annotations

import os
import random
from base64 import b64decode, b64encode
from contextlib import closing
from datetime import UTC, datetime
from itertools import count, islice
from math import ceil
from time import gmtime, strftime
from typing import TYPE_CHECKING, Final

from pannier_sidecar.state.cursors import first_after
from pannier_sidecar.state.errors import StoreError, StoreRefusedError
from pannier_sidecar.state.feeds import KeyETag
from pannier_sidecar.state.preconditions import exists_already, mismatch
from pannier_sidecar.state.requests import Set, Write
from pannier_sidecar.state.store import StoredValue

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from pannier_sidecar.state.prefilter import Group, Needed

    Row = tuple[bytes, int, bytes, bytes | None]

_HAS_FRACTION: Final = "value GLOB '*[0-9][.eE]*'"
ROWS_SEARCHED: Final = 10_000
"""Maximum of rows whose values are searched in one read."""
KEYS_AT_ONCE: Final = 500
"""Keys in one SELECT: half of what every version of SQLite takes."""


class StateTable:
    """One state table, seen through one connection. `now` is Unix time in seconds throughout."""

    def __init__(self, connection: sqlite3.Connection, name: str, path: str = ""):
        """`path` is the path of the database file; empty: the database is in memory."""
        self.connection = connection
        self._path = path
        self._file: object = _identity(path)
        columns = "value, is_binary, etag, expiration_time"
        self._select = f'SELECT {columns} FROM "{name}" WHERE key = ?'
        self._select_many = f'SELECT {columns}, key FROM "{name}" WHERE key IN (%s)'
        self._select_etag = f'SELECT etag, expiration_time FROM "{name}" WHERE key = ?'
        self._upsert = (
            f'INSERT INTO "{name}" (key, {columns}, update_time) VALUES (?, ?, ?, ?, ?, CURRENT_TIMESTAMP) '
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value, is_binary = excluded.is_binary, "
            "etag = excluded.etag, expiration_time = excluded.expiration_time, update_time = excluded.update_time"
        )
        self._delete = f'DELETE FROM "{name}" WHERE key = ?'
        self._list = f'SELECT key, expiration_time, etag FROM "{name}" WHERE key %s ? ORDER BY key'
        self._nth = f'SELECT key FROM "{name}" WHERE key %s ? ORDER BY key LIMIT 1 OFFSET {ROWS_SEARCHED - 1}'
        self._search = f'SELECT key, expiration_time, etag FROM "{name}" WHERE key %s ? %s ORDER BY key'
        self._sweep = (
            f'DELETE FROM "{name}" WHERE key IN (SELECT key FROM "{name}" '
            "WHERE expiration_time IS NOT NULL AND expiration_time <= ? LIMIT ?)"
        )
        self._first_expiry = f'SELECT min(expiration_time) FROM "{name}" WHERE expiration_time IS NOT NULL'
        self._probe = f'SELECT 1 FROM "{name}" LIMIT 1'
        # ETags are numbers from a random start, so that they repeat neither those of an earlier run nor those of
        # another process on the same file. Below 2^53 they survive clients that put them into JSON without quotes.
        # Dapr's are UUIDs.
        self._etags = count(random.randrange(1, 2**52))

    def is_detached(self) -> bool:
        """Return whether the file has been removed or replaced, so that what is written to it would be lost."""
        return _identity(self._path) != self._file

    def close(self) -> None:
        """Close the connection, for good, even if the file comes back."""
        self.connection.close()
        self._file = "closed"

    def get(self, now: float, key: str) -> StoredValue | None:
        row = self.connection.execute(self._select, (key,)).fetchone()
        return None if row is None else _stored_value(key, row, now)

    def get_many(self, now: float, keys: Sequence[str]) -> list[StoredValue | StoreError | None]:
        found: dict[str, StoredValue | StoreError | None] = {}
        remaining = iter(dict.fromkeys(keys))
        while chunk := tuple(islice(remaining, KEYS_AT_ONCE)):
            for row in self.connection.execute(self._select_many % ",".join("?" * len(chunk)), chunk):
                key = row[4].decode()
                try:
                    found[key] = _stored_value(key, row[:4], now)
                except StoreError as error:
                    found[key] = error
        return [found.get(key) for key in keys]

    def write(self, now: float, write: Write) -> None:
        """Carry out one write. Raises ETagMismatchError, having done nothing."""
        self._check(now, write)
        self._carry_out(now, write)

    def write_each(self, now: float, writes: Sequence[Write]) -> list[StoreError | None]:
        """Carry out the writes independently."""
        return [self._try(now, write) for write in writes]

    def write_all(self, now: float, writes: Sequence[Write]) -> None:
        """Carry out all writes in order. Raises ETagMismatchError, having done nothing."""
        for write in writes:
            self._check(now, write)
        for write in writes:
            self._carry_out(now, write)

    def etags(self, now: float, prefix: str, after: str | None, limit: int) -> list[KeyETag]:
        """Return up to `limit` keys in order, with their ETags."""
        # Keys with the same beginning are neighbours in any order by bytes, so reading ends at the first key that
        # begins otherwise.
        statement = self._list % (">=" if after is None else ">")
        with closing(self.connection.execute(statement, (prefix if after is None else after,))) as rows:
            return list(islice(_live(rows, prefix, now), limit))

    def candidates(
        self, now: float, prefix: str, after: str | None, limit: int, needed: Needed
    ) -> tuple[list[str], str | None]:
        """Return up to `limit` keys in order whose values may contain what is needed, and the key after which the next
        page begins; None: there is none.

        A page ends after some thousand rows, so that other reads do not wait for long.
        """
        comparison, begin = (">=", prefix) if after is None else (">", after)
        row = self.connection.execute(self._nth % comparison, (begin,)).fetchone()
        last = None if row is None else row[0].decode()
        if last is not None and not last.startswith(prefix):
            last = None
        bound = last if last is not None else first_after(prefix)
        conditions = [] if bound is None else [f"key {'<' if last is None else '<='} ?"]
        conditions += map(_may_contain, needed)
        statement = self._search % (comparison, "".join(f" AND {each}" for each in conditions))
        parameters = [
            begin,
            *([] if bound is None else [bound]),
            *(text.decode() for group in needed for text in group.texts),
        ]
        keys: list[str] = []
        with closing(self.connection.execute(statement, parameters)) as rows:
            for found in _live(rows, prefix, now):
                if len(keys) == limit:
                    return keys, keys[-1]
                keys.append(found.key)
        return keys, last

    def sweep(self, now: float, limit: int) -> tuple[bool, float | None]:
        """Remove up to `limit` expired rows; return whether there may be more, and when the next one expires."""
        removed = self.connection.execute(self._sweep, (_text_of_time(now), limit)).rowcount
        return removed == limit, self.first_expiry(now)

    def first_expiry(self, now: float) -> float | None:
        """Return when the next row expires; None if none does."""
        text = self.connection.execute(self._first_expiry).fetchone()[0]
        return None if text is None else _time_of(text)

    def probe(self, now: float) -> None:
        """Read one row, if there is one."""
        self.connection.execute(self._probe).fetchone()

    def change_mark(self, now: float) -> object:
        """Return what differs after every commit, of this connection, another one or another process."""
        (version,) = self.connection.execute("PRAGMA data_version").fetchone()  # counts others' commits only
        return self._file, version, self.connection.total_changes

    def _check(self, now: float, write: Write) -> None:
        if write.if_match is None and not write.if_absent:
            return
        row = self.connection.execute(self._select_etag, (write.key,)).fetchone()
        is_present = row is not None and (row[1] is None or _time_of(row[1]) > now)
        if write.if_absent and is_present:
            raise exists_already(write)
        if error := mismatch(write, row[0].decode() if is_present else None):
            raise error

    def _carry_out(self, now: float, write: Write) -> None:
        if isinstance(write, Set):
            value, is_binary = _encoded(write.value)
            expiry: str | None = None if write.ttl is None else _text_of_time(now + write.ttl)
            if write.kept_expiry is not None:
                kept = self.connection.execute(self._select_etag, (write.key,)).fetchone()[1]
                expiry = None if kept is None else kept.decode()
            self.connection.execute(self._upsert, (write.key, value, is_binary, str(next(self._etags)), expiry))
        else:
            self.connection.execute(self._delete, (write.key,))

    def _try(self, now: float, write: Write) -> StoreError | None:
        try:
            self.write(now, write)
        except StoreError as error:
            return error
        return None


def _identity(path: str) -> tuple[int, int] | None:
    if not path:
        return None
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return (found.st_dev, found.st_ino)


def _live(rows: Iterator[tuple[bytes, bytes | None, bytes]], prefix: str, now: float) -> Iterator[KeyETag]:
    for name, expiry, etag in rows:
        key = name.decode()
        if not key.startswith(prefix):
            return
        if expiry is None or _time_of(expiry) > now:
            yield KeyETag(key, etag.decode())


def _may_contain(group: Group) -> str:
    """Return the condition that values meet which contain a text, each of which is a parameter. Values in base64 meet
    it too, for they cannot be searched; Pannier stores none that is JSON so, but Dapr may.
    """
    ways = ["is_binary", *["instr(value, ?)"] * len(group.texts)]
    return f"({' OR '.join([*ways, _HAS_FRACTION] if group.or_fraction else ways)})"


def _encoded(value: bytes) -> tuple[str, bool]:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return b64encode(value).decode(), True
    # A NUL ends text for some of SQLite's functions and tools.
    return (b64encode(value).decode(), True) if "\0" in text else (text, False)


def _stored_value(key: str, row: Row, now: float) -> StoredValue | None:
    value, is_binary, etag, expiry = row
    expires_at = None
    if expiry is not None:
        expires = _time_of(expiry)
        if expires <= now:
            return None
        expires_at = round(expires)
    if is_binary:
        try:
            value = b64decode(value, validate=True)
        except ValueError as error:
            raise StoreRefusedError(
                f"the value of key {key} is marked as binary but is no base64; write it again"
            ) from error
    return StoredValue(value, etag.decode(), expires_at)


def _text_of_time(unix: float) -> str:
    """Return the time with milliseconds, rounded up so that nothing expires early."""
    ms = ceil(unix * 1000)
    return strftime("%Y-%m-%d %H:%M:%S", gmtime(ms // 1000)) + f".{ms % 1000:03d}"


def _time_of(text: bytes) -> float:
    try:
        time = datetime.fromisoformat(text.decode())
    except ValueError as error:
        raise StoreRefusedError(f"a row has the expiration_time {text!r}, which is no time") from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
