"""PostgreSQL's errors in words that say what to change (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""

from __future__ import annotations

from ssl import SSLCertVerificationError
from typing import Final

import asyncpg

from pannier_sidecar.network.reasons import reason
from pannier_sidecar.state.errors import KeyRefused, OutcomeUnknown, StoreFault, StoreRefused, StoreUnavailable

ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, ValueError)
"""All that the client library raises."""
_LOST: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
_UNDONE: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_REFUSALS: Final = {
    "28P01": "refuses the password; write the right user and password",
    "28000": "lets this user not in; write another user, or have one line more in pg_hba.conf",
    "3D000": "has no such database; make it with CREATE DATABASE, or write another database",
    "42P01": "has lost its table; open the store anew to have it made",
    "42501": "gives this user too few rights; GRANT SELECT, INSERT, UPDATE, DELETE on both tables",
    "53100": "has no room left on its disk; free some",
    "54000": "can't hold a value that is too large: the limit is 1 GB, 255 MB in version v1",
}
_PASSING: Final = {
    "25006": "takes no writes now: it is a standby; write all hosts, and target_session_attrs=read-write",
    "40001": "has too many writes of the same keys",
    "40P01": "has too many writes of the same keys",
    "53200": "is out of memory",
    "53300": "has no connection free; raise max_connections there, or lower maxConns",
    "55P03": "waited too long for a lock",
    "57014": "gave the call up after its own statement_timeout",
    "57P03": "is starting up or ending",
}


_CLOSED: Final = {
    "ConnectionDoesNotExistError": "the other side ended the connection",
    "InterfaceError": "the connection is closed",
    "AdminShutdownError": "the server is ending",
    "CrashShutdownError": "the server is ending",
    "InternalClientError": "the server does not keep to its protocol",
}


def is_lost(error: BaseException) -> bool:
    """Say whether the connection is gone."""
    return isinstance(error, _LOST) and not isinstance(error, asyncpg.ClientConfigurationError)


def was_undone(error: BaseException) -> bool:
    """Say whether PostgreSQL did nothing, because calls that ran at the same time were in the way."""
    return isinstance(error, _UNDONE)


def translated(error: Exception, where: object, *, may_be_done: bool) -> StoreFault:
    """Return the fault that tells of an error. `may_be_done`: a write was sent."""
    fault = _translated(error, where, may_be_done)
    fault.__cause__ = error
    return fault


def _translated(error: Exception, where: object, may_be_done: bool) -> StoreFault:
    if isinstance(error, StoreFault):
        return error
    if isinstance(error, TimeoutError):
        return StoreUnavailable(f"{where} did not answer in time")
    if isinstance(error, SSLCertVerificationError):
        return StoreRefused(
            f"{where} is not vouched for ({reason(error)}); write its authority's file into sslRootCert"
        )
    if is_lost(error):
        return _lost(error, where, may_be_done)
    code = getattr(error, "sqlstate", None) or ""
    if _is_about_the_key(error):
        return KeyRefused(f"{where} can't hold such a key: {_of_key(error)}")
    if code in _PASSING:
        return StoreUnavailable(f"{where} {_PASSING[code]} ({code})")
    if code in _REFUSALS:
        return StoreRefused(f"{where} {_REFUSALS[code]} ({code})")
    return StoreRefused(f"{where} refused the call ({code or type(error).__name__})")


def _lost(error: Exception, where: object, may_be_done: bool) -> StoreFault:
    if may_be_done:
        return OutcomeUnknown(
            f"the connection to {where} was lost before it answered ({_why(error)}): "
            "the write may or may not have happened; read the key before writing again"
        )
    return StoreUnavailable(f"{where} can't be reached: {_why(error)}")


def _why(error: Exception) -> str:
    """Return why there is no connection; asyncpg tells of a lost one by kinds of its own."""
    if isinstance(error, OSError):
        return reason(error)
    return _CLOSED.get(type(error).__name__, f"the connection failed ({type(error).__name__})")


def _of_key(error: Exception) -> str:
    if isinstance(error, asyncpg.ProgramLimitExceededError):
        return "it is too long for an index row"
    is_pair = isinstance(error.__cause__, UnicodeError)
    return "it holds surrogates, which no text has" if is_pair else "it holds characters that the database has not"


def _is_about_the_key(error: Exception) -> bool:
    if isinstance(error, asyncpg.ProgramLimitExceededError):
        return "index row" in str(error)
    return isinstance(error.__cause__, UnicodeError) or isinstance(
        error, asyncpg.CharacterNotInRepertoireError | asyncpg.UntranslatableCharacterError
    )
