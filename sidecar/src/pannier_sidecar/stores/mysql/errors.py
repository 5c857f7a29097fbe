"""Translates the errors of MySQL and MariaDB into words that say what to change.

Codes: https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
"""

from __future__ import annotations

from typing import Final

import aiomysql

from pannier_sidecar.network.reasons import is_about_certificate, reason
from pannier_sidecar.state.errors import (
    KeyRefusedError,
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)


class BrokenProtocolError(Exception):
    """The server has sent what no server sends, or more than an answer may have. The connection is closed."""


class TLSMissingError(Exception):
    """The server offers no TLS, and the settings want it."""


class PlainPasswordError(Exception):
    """The server asks for the password as it is, and the settings do not allow that."""


ERRORS: Final = (aiomysql.MySQLError, BrokenProtocolError, TLSMissingError, PlainPasswordError, OSError)
"""All that a connection raises, but for StoreErrors."""
DUPLICATE_KEY: Final = 1062
_LOST: Final = frozenset({1053, 1077, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2006, 2013, 2014, 2055, 4031})
"""The server or a proxy ends the connection, or has lost its own."""
_OUTCOME_UNKNOWN: Final = frozenset({1180})
"""The server reports that it failed while it committed."""
_UNDONE: Final = frozenset({1213, 1020})
"""A deadlock, or a row that has changed since the snapshot: the transaction is undone."""
_NO_PRIMARY: Final = frozenset({1290, 1792, 1836})
"""The server is read-only: it was the primary, or never was."""
_REFUSALS: Final = {
    1044: "gives this user no rights on the database; GRANT SELECT, INSERT, UPDATE, DELETE on both tables",
    1045: "refuses the user or the password, or connections without TLS; write the right ones into connectionString",
    1049: "has no such database; make it with CREATE DATABASE, or write another schemaName",
    1054: "has a table with other columns; write another tableName",
    1114: "has no room left for the table",
    1021: "has no room left on its disk",
    1129: "has blocked this host after failed connections; run FLUSH HOSTS there",
    1130: "does not accept users from this host; CREATE USER for it",
    1142: "gives this user too few rights; GRANT SELECT, INSERT, UPDATE, DELETE on both tables",
    1143: "gives this user too few rights; GRANT SELECT, INSERT, UPDATE, DELETE on both tables",
    1146: "has lost its table; open the store again to have it made",
    1153: "takes no value of this size; raise its max_allowed_packet",
    1193: "does not know a variable of the session: it is older than MySQL 5.7 or MariaDB 10.2",
    1251: "wants a way to sign in that is not served; use caching_sha2_password or mysql_native_password",
    1698: "refuses the user or the password; write the right ones into connectionString",
    2059: "wants a way to sign in that is not served; use caching_sha2_password or mysql_native_password",
    3159: "takes only connections with TLS; write tls=true into connectionString",
    1820: "wants a new password for this user; change it there first",
    1862: "has a user whose password has expired; change it there first",
}
_PASSING: Final = {
    1040: "has no connection free; raise max_connections there, or lower maxConns",
    1047: "is not ready: its node has left the cluster",
    1203: "has no connection free for this user; raise max_user_connections there, or lower maxConns",
    1205: "waited too long for a lock",
    1206: "has too many locks; raise innodb_buffer_pool_size there",
    1213: "has too many writes of the same keys",
    1020: "has too many writes of the same keys",
    1226: "has no resources left for this user",
    1290: "takes no writes now: it is read-only; write the address of the primary",
    1317: "ended the statement, because somebody killed it",
    1792: "takes no writes now: it is read-only; write the address of the primary",
    1836: "takes no writes now: it is read-only; write the address of the primary",
    1037: "is out of memory",
    1038: "is out of memory",
    1969: "gave the call up after its own max_statement_time",
    3024: "gave the call up after its own max_execution_time",
    9001: "is a proxy that reaches no server",
}
_OF_KEYS: Final = {
    1062: "its table takes it for another key that is there; give the column id a collation that compares every byte",
    1267: "its column id has a character set or collation that does not hold these characters",
    1366: "its column id has a character set that does not hold these characters",
    1406: "it is too long for the column id",
    3988: "its column id has a character set that does not hold these characters",
}


def code_of(error: BaseException | None) -> int:
    """Return the number of an error of the server or the client library; 0 for any other."""
    if isinstance(error, aiomysql.MySQLError) and error.args and isinstance(error.args[0], int):
        return error.args[0]
    return 0


def is_lost(error: BaseException) -> bool:
    """Return whether the connection is lost, or must not be used any more."""
    if isinstance(error, aiomysql.MySQLError):
        code = code_of(error)
        return code in _LOST or code < 1000 or 2000 <= code < 3000
    return isinstance(error, ERRORS)


def is_login_refused(error: BaseException) -> bool:
    """Return whether the server takes neither this user nor this password."""
    return code_of(error) in (1045, 1698)


def is_full(error: BaseException | None) -> bool:
    """Return whether the server answers that it takes no more connections."""
    return code_of(error) in (1040, 1203)


def was_undone(error: BaseException) -> bool:
    """Return whether nothing was done because of concurrent calls."""
    return code_of(error) in _UNDONE


def is_no_primary(error: BaseException) -> bool:
    """Return whether nothing was done, because this server is no longer the primary."""
    return code_of(error) in _NO_PRIMARY


def may_have_happened(error: BaseException) -> bool:
    """Return whether a write that was sent may have happened in spite of an error."""
    return is_lost(error) or code_of(error) in _OUTCOME_UNKNOWN


def translate(error: Exception, where: object, *, is_unknown: bool) -> StoreError:
    """Return the error to raise for an error of a connection. `is_unknown`: a write was sent, and may have happened."""
    translated = _translate(error, where, is_unknown)
    if translated is not error:
        translated.__cause__ = error
    return translated


def _translate(error: Exception, where: object, is_unknown: bool) -> StoreError:
    if isinstance(error, StoreError):
        return error
    if is_unknown:
        return OutcomeUnknownError(f"the connection to {where} was lost before it answered")
    code = code_of(error)
    if code in _OF_KEYS:
        return KeyRefusedError(f"{where} can't hold such a key: {_OF_KEYS[code]}")
    if code in _PASSING:
        return StoreUnavailableError(f"{where} {_PASSING[code]} ({code})")
    if code in _REFUSALS:
        return StoreRefusedError(f"{where} {_REFUSALS[code]} ({code})")
    if isinstance(error, TLSMissingError):
        return StoreRefusedError(f"{where} offers no TLS; set it up there, or write tls=false into connectionString")
    if isinstance(error, PlainPasswordError):
        return StoreRefusedError(
            f"{where} asks for the password as plain text; write tls=true and allowCleartextPasswords=true into "
            "connectionString, or give the user another plugin"
        )
    if is_about_certificate(error):
        return StoreRefusedError(
            f"{where} has a certificate that is not trusted ({reason(error)}); write its authority's file into "
            "pemPath, and tls=custom into connectionString"
        )
    if is_lost(error):
        return StoreUnavailableError(f"{where} cannot be reached: {_why(error)}")
    return StoreRefusedError(f"{where} refused the call ({code or type(error).__name__})")


def _why(error: Exception) -> str:
    if isinstance(error, BrokenProtocolError):
        return "the server does not keep to its protocol"
    if isinstance(error, OSError):
        return reason(error)
    return "the other side ended the connection"
