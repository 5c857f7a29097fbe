"""Translates PostgreSQL's errors into words that say what to change.

Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import re
from ssl import SSLCertVerificationError
from typing import Final

import asyncpg

from pannier_sidecar.network.reasons import reason
from pannier_sidecar.state.errors import (
    KeyRefusedError,
    NotSupportedError,
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)

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
_FATAL: Final = ("FATAL", "PANIC")
"""Severities of errors after which the connection is closed."""
_UNDONE: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_MISSING: Final = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""A prepared statement is missing, or exists already: a pooler has used another connection of the server."""
OUTCOME_UNKNOWN: Final = frozenset({"08007", "40003"})
"""Codes with which PostgreSQL itself reports that it does not know the outcome of a transaction."""
_ENDED: Final = frozenset({"57P01", "57P05", "25P03"})
"""The server ended the connection: it undid what was in flight, and began nothing more."""
_NOT_PASSED_ON: Final = (
    "pgbouncer cannot connect to server",
    "cannot connect to server",
    "server login has been failing",
    "server login failed",
    "query_wait_timeout",
    "no more connections allowed",
)
"""What PgBouncer answers, always in English, to a call that has reached no server."""
_NO_TRANSACTIONS: Final = "transaction blocks not allowed in statement pooling mode"
"""What PgBouncer answers to BEGIN."""
_REFUSED_PARAMETER: Final = re.compile(r"unsupported startup parameter: (\w+)")
_KNOWN_PARAMETERS: Final = frozenset(
    {"options", "extra_float_digits", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}
)
_REFUSALS: Final = {
    "28P01": "refuses the password; write the right user and password",
    "28000": "refuses this user; write another user, or have this one allowed in pg_hba.conf",
    "3D000": "has no such database; make it with CREATE DATABASE, or write another database",
    "42P01": "has lost its table; open the store again to have it made",
    "42501": "gives this user too few rights; GRANT SELECT, INSERT, UPDATE, DELETE on both tables",
    "53100": "has no room left on its disk; free some",
    "54000": "can't hold a value that is too large: the limit is 1 GB, 255 MB in version v1; CockroachDB's is 16 MiB",
}
_PASSING: Final = {
    "25006": "takes no writes now: it is a standby; write all hosts, and target_session_attrs=read-write",
    "40003": "lost sight of the transaction before its end, and so undid it",
    "40001": "has too many writes of the same keys",
    "40P01": "has too many writes of the same keys",
    "53200": "is out of memory",
    "53300": "has no connection free; raise max_connections there, or lower maxConns",
    "55P03": "waited too long for a lock",
    "57014": "gave the call up after its own statement_timeout",
    "57P03": "is starting up or ending",
    "58C00": "can't reach some of its data now",
    "58C01": "has lost a connection between its nodes",
}


_CLOSED: Final = {
    "ConnectionDoesNotExistError": "the other side ended the connection",
    "InterfaceError": "the connection is closed",
    "AdminShutdownError": "the server is ending",
    "CrashShutdownError": "the server is ending",
    "InternalClientError": "the server does not keep to its protocol",
}


def is_lost(error: BaseException) -> bool:
    """Return whether the connection is lost."""
    if isinstance(error, asyncpg.PostgresError) and (error.severity_en or error.severity) in _FATAL:
        return True
    return isinstance(error, _LOST) and not isinstance(error, asyncpg.ClientConfigurationError)


def is_full(error: BaseException | None) -> bool:
    """Return whether the server answers that it takes no more connections."""
    return isinstance(error, asyncpg.TooManyConnectionsError)


def was_undone(error: BaseException) -> bool:
    """Return whether PostgreSQL did nothing because of a conflict with concurrent calls."""
    return isinstance(error, _UNDONE)


def is_about_a_statement(error: BaseException) -> bool:
    """Return whether nothing was done, because a prepared statement could not be used."""
    return isinstance(error, _MISSING) or is_about_a_plan(error)


def is_about_a_plan(error: BaseException) -> bool:
    """Return whether nothing was done, because the table was altered after a statement was prepared."""
    return isinstance(error, asyncpg.InvalidCachedStatementError)


def is_no_primary(error: BaseException) -> bool:
    """Return whether nothing was done, because this server is no longer the primary."""
    return isinstance(error, asyncpg.ReadOnlySQLTransactionError)


def may_have_happened(error: BaseException, is_direct: bool, in_doubt: frozenset[str]) -> bool:
    """Return whether a write that was sent may have happened in spite of an error.

    `is_direct`: PostgreSQL itself reports it. A pooler that closes a connection may not know the state of its server.
    `in_doubt`: the codes with which the database says that it does not know the outcome.
    """
    cause = _server_error(error)
    if not isinstance(cause, asyncpg.PostgresError):
        return is_lost(cause)
    if cause.sqlstate in in_doubt:
        return True
    if cause.sqlstate in _ENDED:
        # A pooler sends these codes about itself too, but names no function of PostgreSQL.
        return not is_direct or cause.server_source_function != "ProcessInterrupts"
    if str(cause).startswith(_NOT_PASSED_ON):
        return False
    return is_lost(cause)


def _server_error(error: BaseException) -> BaseException:
    """Return the error that the server sent before it closed the connection, if it sent one."""
    if isinstance(error, asyncpg.ConnectionDoesNotExistError) and isinstance(error.__cause__, asyncpg.PostgresError):
        cause: BaseException = error.__cause__
        return cause
    return error


def translate(error: Exception, where: object, *, is_unknown: bool) -> StoreError:
    """Return the error to raise for an error of asyncpg. `is_unknown`: a write was sent, and may have happened."""
    translated = _translate(_server_error(error), where, is_unknown)
    if translated is not error:
        translated.__cause__ = error
    return translated


def _translate(error: BaseException, where: object, is_unknown: bool) -> StoreError:
    if isinstance(error, StoreError):
        return error
    if is_unknown:
        if isinstance(error, asyncpg.PostgresError) and not is_lost(error):
            return OutcomeUnknownError(f"{where} can't say whether the write happened ({error.sqlstate})")
        return OutcomeUnknownError(f"the connection to {where} was lost before it answered")
    if isinstance(error, TimeoutError):
        return StoreUnavailableError(f"{where} did not answer in time")
    if isinstance(error, SSLCertVerificationError):
        return StoreRefusedError(
            f"{where} has a certificate that is not trusted ({reason(error)}); "
            "write its authority's file into sslRootCert"
        )
    code = getattr(error, "sqlstate", None) or ""
    if _is_about_the_key(error):
        return KeyRefusedError(f"{where} can't hold such a key: {_of_key(error)}")
    if code in _PASSING:
        return StoreUnavailableError(f"{where} {_PASSING[code]} ({code})")
    if code in _REFUSALS:
        return StoreRefusedError(f"{where} {_REFUSALS[code]} ({code})")
    if is_lost(error):
        return _unreached(error, where)
    return StoreRefusedError(f"{where} refused the call ({code or type(error).__name__})")


def _unreached(error: BaseException, where: object) -> StoreError:
    if str(error).startswith(_NO_TRANSACTIONS):
        return NotSupportedError(
            f"{where} is a pooler in statement mode, which takes no transactions of several writes; set its "
            "pool_mode to transaction, or save the items one by one"
        )
    if str(error).startswith(_NOT_PASSED_ON):
        return StoreUnavailableError(f"{where} is a pooler that reaches no server, or has no connection free")
    parameter = _REFUSED_PARAMETER.match(str(error))
    if parameter is not None:
        name = parameter[1] if parameter[1] in _KNOWN_PARAMETERS else "one"
        return StoreRefusedError(
            f"{where} is a pooler that does not take all parameters of connectionString; take {name} out there "
            "and set it by ALTER ROLE ... SET, or have the pooler take it (PgBouncer: ignore_startup_parameters)"
        )
    return StoreUnavailableError(f"{where} can't be reached: {_why(error)}")


def _why(error: BaseException) -> str:
    """Return why there is no connection; asyncpg has several classes for a lost one."""
    if isinstance(error, OSError):
        return reason(error)
    return _CLOSED.get(type(error).__name__, f"the connection failed ({type(error).__name__})")


def _of_key(error: BaseException) -> str:
    if isinstance(error, asyncpg.ProgramLimitExceededError):
        return "it is too long for an index row"
    is_pair = isinstance(error.__cause__, UnicodeError)
    return "it has surrogates, which are not text" if is_pair else "it has characters that the database cannot store"


def _is_about_the_key(error: BaseException) -> bool:
    if isinstance(error, asyncpg.ProgramLimitExceededError):
        return "index row" in str(error)
    return isinstance(error.__cause__, UnicodeError) or isinstance(
        error, asyncpg.CharacterNotInRepertoireError | asyncpg.UntranslatableCharacterError
    )
