"""SQLite's error is the cause of the error that a call raises, so that the log's traceback shows it."""

import sqlite3

import pytest

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreUnavailableError
from pannier_sidecar.stores.sqlite.errors import outcome_of_commit, translate


class FailedError(sqlite3.OperationalError):
    """An error with one of SQLite's result codes."""

    def __init__(self, code: int):
        super().__init__("made by the test")
        self.sqlite_errorcode = code


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY])
def test_the_error_of_a_call_keeps_its_cause(code: int) -> None:
    cause = FailedError(code)
    error = translate(cause, "the test", busy_timeout=1)
    assert isinstance(error, StoreUnavailableError)
    assert error.__cause__ is cause


@pytest.mark.parametrize(
    ("code", "kind"), [(sqlite3.SQLITE_IOERR, OutcomeUnknownError), (sqlite3.SQLITE_BUSY, StoreUnavailableError)]
)
def test_the_error_of_a_commit_keeps_its_cause(code: int, kind: type[Exception]) -> None:
    cause = FailedError(code)
    error = outcome_of_commit(cause, "the test", 1)
    assert isinstance(error, kind)
    assert error.__cause__ is cause
