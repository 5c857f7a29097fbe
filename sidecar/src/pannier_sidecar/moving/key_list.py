"""A list of different keys, in the order in which they were read. It is a temporary SQLite file, so any number fits.

A store may list a key twice, and may list keys that have just been written. So all keys are collected before anything
is written; then their number is known too.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable


class KeyList:
    """Keys with their numbers, from 1."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)  # a temporary file, in memory while it is small
        self._connection.execute("CREATE TABLE keys (number INTEGER PRIMARY KEY, key TEXT UNIQUE)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def __len__(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM keys").fetchone()[0])

    def add(self, keys: Iterable[str]) -> None:
        """Append the keys that are not in the list yet."""
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT OR IGNORE INTO keys (key) VALUES (?)", ((key,) for key in keys))
        self._connection.execute("COMMIT")

    def after(self, number: int, limit: int) -> list[tuple[int, str]]:
        """Return the next keys with their numbers; `number` 0: from the beginning."""
        query = "SELECT number, key FROM keys WHERE number > ? ORDER BY number LIMIT ?"
        return self._connection.execute(query, (number, limit)).fetchall()

    def number_of(self, key: str, number: int) -> int:
        """Add a key under that number if it is new; return the number under which it was first added."""
        self._connection.execute("INSERT OR IGNORE INTO keys VALUES (?, ?)", (number, key))
        return int(self._connection.execute("SELECT number FROM keys WHERE key = ?", (key,)).fetchone()[0])
