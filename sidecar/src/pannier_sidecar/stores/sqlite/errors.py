"""Translates SQLite's errors into words that say what to change (https://www.sqlite.org/rescode.html)."""

from __future__ import annotations

import sqlite3
from typing import Final

from pannier_sidecar.state.errors import (
    KeyRefusedError,
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)

from .locks import is_busy, result_code

DRIVER_ERRORS: Final = (sqlite3.Error, UnicodeError, OverflowError)
"""All that the driver raises, also for text that it cannot encode and numbers that it cannot hold."""

_REFUSALS: Final = {
    sqlite3.SQLITE_CANTOPEN: "can't be opened: is its folder there, is it a file, may this user read and write both?",
    sqlite3.SQLITE_READONLY: "can't be written: give this user write permission on the file and its folder",
    sqlite3.SQLITE_PERM: "can't be used: give this user permission to read and write the file and its folder",
    sqlite3.SQLITE_FULL: "is full: free some space on its disk",
    sqlite3.SQLITE_NOTADB: "is no SQLite database: point connectionString at another file",
    sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a backup, or recover it with `sqlite3 FILE .recover`",
    sqlite3.SQLITE_TOOBIG: "takes no value of that size",
}


def translate(error: Exception, where: object, *, busy_timeout: float) -> StoreError:
    """Return the error to raise for an error of the driver. `busy_timeout` is in seconds."""
    translated = _translate(error, where, busy_timeout)
    translated.__cause__ = error
    return translated


def outcome_of_commit(error: Exception, where: object, busy_timeout: float) -> StoreError:
    """Return the error to raise for a commit that failed: after an I/O error it is unknown what is on the disk."""
    if result_code(error) != sqlite3.SQLITE_IOERR:
        return translate(error, where, busy_timeout=busy_timeout)
    unknown = OutcomeUnknownError(f"{where} failed while the write was being made durable")
    unknown.__cause__ = error
    return unknown


def _translate(error: Exception, where: object, busy_timeout: float) -> StoreError:
    if isinstance(error, UnicodeError):
        return KeyRefusedError(f"{where} takes only Unicode text for a key, without surrogates")
    if is_busy(error):
        return StoreUnavailableError(
            f"{where} is locked by another process for longer than busyTimeout ({busy_timeout:g} s)"
        )
    code = result_code(error)
    if code in _REFUSALS:
        return StoreRefusedError(f"{where} {_REFUSALS[code]}{_name(error)}")
    if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
        return StoreUnavailableError(f"{where} failed{_name(error)}")
    return StoreRefusedError(f"{where} refused the call{_name(error)}")


def _name(error: Exception) -> str:
    """Return SQLite's name for what went wrong, in brackets."""
    return f" ({getattr(error, 'sqlite_errorname', type(error).__name__)})"
