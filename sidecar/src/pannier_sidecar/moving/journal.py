"""Notes on this machine about what was written, so that a later run can distinguish its own writes from an app's.

An SQLite file for all moves. A value is noted (as a digest) before it is written, so a run that is killed in between
leaves one note too many and never one too few. An extra note does no harm, because it matches only the value that it
was made for.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Self

from pannier_sidecar.moving.deciding import Written
from pannier_sidecar.moving.items import MoveError
from pannier_sidecar.stores.sqlite.locks import retry_while_busy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

PATIENCE: Final = 30.0
"""Seconds to wait for another move that writes to the same journal."""


class Journal:
    """The notes on one place: the database, and the table or database number, where stored keys are looked up."""

    def __init__(self, file: Path, place: bytes):
        """Open the journal; create it if there is none. Raises MoveError."""
        self._file = file
        self._place = place
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):  # keys may be secret
                os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise self._unusable(error) from error
        with self._usable():
            self._connection = sqlite3.connect(file, timeout=PATIENCE, isolation_level=None)
            try:
                retry_while_busy(PATIENCE, self._prepare)
            except sqlite3.Error:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS written (place BLOB, key TEXT, digest BLOB, expires_at INTEGER, "
            "PRIMARY KEY (place, key, digest)) WITHOUT ROWID"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def written(self, keys: Iterable[str]) -> dict[str, list[Written]]:
        """Return the notes on each of these stored keys."""
        query = "SELECT digest, expires_at FROM written WHERE place = ? AND key = ?"
        with self._usable():
            return {key: [Written(*row) for row in self._connection.execute(query, (self._place, key))] for key in keys}

    def note(self, intended: Mapping[str, Written]) -> None:
        """Note what is about to be written."""
        rows = [(self._place, key, written.digest, written.expires_at) for key, written in intended.items()]
        with self._transaction():
            self._connection.executemany("INSERT OR REPLACE INTO written VALUES (?, ?, ?, ?)", rows)

    def conclude(self, done: Mapping[str, Written], not_done: Mapping[str, Written]) -> None:
        """For each key in `done` keep only that note; forget those in `not_done`, whose writes did not happen."""
        here = "DELETE FROM written WHERE place = ? AND key = ? AND digest"
        with self._transaction():
            self._connection.executemany(f"{here} <> ?", self._rows(done))
            self._connection.executemany(f"{here} = ?", self._rows(not_done))

    def _rows(self, notes: Mapping[str, Written]) -> list[tuple[bytes, str, bytes]]:
        return [(self._place, key, written.digest) for key, written in notes.items()]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._usable(), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> MoveError:
        return MoveError(
            f"the journal {self._file} can't be used: {error}; name another file with --journal, on a disk that lasts"
        )
