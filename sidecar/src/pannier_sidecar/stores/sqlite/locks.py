"""Waiting for locks that other processes hold on an SQLite file (https://www.sqlite.org/rescode.html#busy)."""

from __future__ import annotations

import sqlite3
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_PAUSE: Final = 0.02
"""Seconds between two attempts."""


def is_busy(error: Exception) -> bool:
    """Return whether a call failed because of a lock: it did nothing and can be repeated."""
    return result_code(error) in _BUSY


def result_code(error: Exception) -> int:
    """Return SQLite's primary result code; -1 for errors of the driver itself."""
    code: int = getattr(error, "sqlite_errorcode", -1)
    return code & 0xFF if code >= 0 else -1


def retry_while_busy(patience: float, prepare: Callable[[], None]) -> None:
    """Call `prepare`, and again while another process holds a lock, for at most `patience` seconds.

    A connection's own timeout is not enough: SQLite fails at once where waiting could end in a deadlock, as when two
    processes change the same new file to WAL. Raises what `prepare` raised last.
    """
    deadline = monotonic() + patience
    while True:
        try:
            return prepare()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or monotonic() > deadline:
                raise
        sleep(_PAUSE)
