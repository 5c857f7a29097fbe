"""Entries in a SQLite file, with ETags, expiry and transactions."""

import sqlite3
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import uuid4

FIRST_WRITE = 1


class Entry(NamedTuple):
    """What is stored under a key."""

    value: bytes
    etag: str
    expires_at: float | None


class MismatchError(Exception):
    """A write's precondition does not hold."""


class Ledger:
    """The entries of one component. Threads take turns."""

    def __init__(self, file: str):
        self._turn = threading.Lock()
        self._database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS entries "
            "(key BLOB PRIMARY KEY, value BLOB NOT NULL, etag TEXT NOT NULL, expires_at REAL) WITHOUT ROWID"
        )

    def get(self, key: str) -> Entry | None:
        with self._turn:
            return self._find(key)

    def write(self, requests: Sequence[Any]) -> None:
        """Carry out SetRequests and DeleteRequests, all or none. Every precondition is about what is stored before.
        Raises MismatchError.
        """
        with self._turn:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                for request in requests:
                    self._check(request)
                for request in requests:
                    self._carry_out(request)
                self._database.execute("COMMIT")
            except BaseException:
                self._database.execute("ROLLBACK")
                raise

    def _find(self, key: str) -> Entry | None:
        row = self._database.execute(
            "SELECT value, etag, expires_at FROM entries WHERE key = ? AND (expires_at IS NULL OR expires_at > ?)",
            (key.encode(), time.time()),
        ).fetchone()
        return Entry(*row) if row else None

    def _check(self, request: Any) -> None:
        """An ETag must be the current one; first-write without an ETag wants the key absent."""
        found = self._find(request.key)
        if request.HasField("etag"):
            if found is None or found.etag != request.etag.value:
                raise MismatchError
        elif request.options.concurrency == FIRST_WRITE and found is not None:
            raise MismatchError

    def _carry_out(self, request: Any) -> None:
        if request.DESCRIPTOR.name == "DeleteRequest":
            self._database.execute("DELETE FROM entries WHERE key = ?", (request.key.encode(),))
            return
        seconds = request.metadata.get("ttlInSeconds")
        expires_at = time.time() + int(seconds) if seconds else None
        self._database.execute(
            "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)",
            (request.key.encode(), request.value, uuid4().hex, expires_at),
        )
