"""Translates the errors of SQL Server and Azure SQL into words that say what to change.

Numbers: https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors
"""

from __future__ import annotations

from typing import Final

from pannier_sidecar.network.reasons import is_about_certificate, is_about_tls, reason
from pannier_sidecar.state.errors import (
    KeyRefusedError,
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)

from .tds.errors import BrokenProtocolError, ServerError


class TLSMissingError(Exception):
    """The server offers no TLS, and the settings want it."""


class TLSWantedError(Exception):
    """The server takes only connections with TLS, and the settings forbid it."""


class LoginFailedError(Exception):
    """The server has ended the login without an error."""


class MovedTooOftenError(Exception):
    """The server has named another one to go to, and so has that one, too often."""


ERRORS: Final = (
    ServerError,
    BrokenProtocolError,
    TLSMissingError,
    TLSWantedError,
    LoginFailedError,
    MovedTooOftenError,
    OSError,
)
"""All that a connection raises, but for StoreErrors."""
NO_DATABASE: Final = frozenset({911, 4060})
DENIED: Final = frozenset({229, 230, 262, 297, 300, 2760, 5011})
DUPLICATES: Final = frozenset({2601, 2627})
EXISTS: Final = frozenset({1801, 2714, 2759, 15025})
_FATAL: Final = 20
"""The severity from which on the server ends the connection."""
_LOST: Final = frozenset({64, 233, 10053, 10054, 10060, 40197, 40540, 6002, 6005, 596})
"""The server or a gateway ends the connection; a write may have been done."""
_UNDONE: Final = frozenset({1205, 3960, 3961, 41301, 41302, 41305, 41325, 41839})
"""A deadlock, or rows that have changed since a snapshot: nothing was done."""
_NO_PRIMARY: Final = frozenset({978, 3906, 3908, 976, 983})
"""The database is read-only, or not this server's: it was the primary, or never was."""
_FULL: Final = frozenset({10928, 10929, 10930, 17300, 17809})
_REFUSALS: Final = {
    207: "has a table with other columns; write another tableName",
    208: "has lost its table; open the store again to have it made",
    229: "gives this user too few rights; GRANT SELECT, INSERT, UPDATE, DELETE on both tables",
    230: "gives this user too few rights; GRANT SELECT, INSERT, UPDATE, DELETE on both tables",
    911: "has no such database; make it with CREATE DATABASE, or write another one",
    916: "does not let this user into the database; CREATE USER for it there",
    1105: "has no room left in the database",
    4060: "has no such database, or does not let this user in; CREATE USER for it there",
    9002: "has no room left in the transaction log",
    13609: "cannot compute an indexed property, because the value is no JSON; take indexedProperties out, or save JSON",
    18452: "takes logins of Windows only; allow logins of SQL Server there",
    18456: "refuses the user, the password or the token; write the right ones, or CREATE USER for it",
    18470: "has disabled this login; enable it with ALTER LOGIN",
    18486: "has locked this login; unlock it with ALTER LOGIN",
    18487: "has a login whose password has expired; change it there first",
    18488: "wants a new password for this login; change it there first",
    33182: "wants another kind of login; see useAzureAD",
    40515: "does not let this user name another database",
    40544: "has no room left in the database",
    40552: "ended the session, because it filled the transaction log",
    40532: "does not know this server or user; write the server's full name and the right user",
    40615: "does not accept this host; allow its address in the server's firewall",
    47073: "takes no connections from public networks; use a private endpoint",
}
_PASSING: Final = {
    601: "was changing the table; nothing was done",
    701: "is out of memory",
    802: "is out of memory",
    1204: "has no locks left",
    1205: "has too many writes of the same keys",
    1222: "waited too long for a lock",
    1221: "has too many writes of the same keys",
    3960: "has too many writes of the same keys",
    3961: "changed the table meanwhile",
    3906: "takes no writes now: the database is read-only; write the address of the primary",
    3908: "takes no writes now: the database is read-only; write the address of the primary",
    976: "is a secondary server; write the address of the primary",
    978: "is a secondary server; write the address of the primary",
    983: "is a server whose database is not ready",
    3617: "ended the statement, because somebody killed it",
    8645: "is out of memory",
    8651: "is out of memory",
    10928: "has no connection free; lower maxConns, or give the database more",
    10929: "has no connection free; lower maxConns, or give the database more",
    10930: "has no connection free; lower maxConns, or give the database more",
    17300: "has no connection free; lower maxConns, or raise user connections there",
    17809: "has no connection free; lower maxConns, or raise user connections there",
    18401: "is starting",
    40020: "is moving the database",
    40143: "is moving the database",
    40166: "is moving the database",
    40501: "is busy, and asks for calls to come later",
    40549: "ended a transaction that took too long",
    40550: "has too many locks",
    40551: "has no room left for temporary tables",
    40553: "is out of memory",
    40613: "has a database that is not ready",
    41823: "is out of memory",
    41840: "is out of memory",
    42108: "has a database that is paused",
    42109: "has a database that is being resumed",
    49918: "is busy, and asks for calls to come later",
    49919: "is busy, and asks for calls to come later",
    49920: "is busy, and asks for calls to come later",
}
_OF_KEYS: Final = {
    2601: "its table takes it for another key that is there",
    2627: "its table takes it for another key that is there",
    2628: "it is too long for the column Key",
    8152: "it is too long for the column Key",
    8169: "its column Key holds UUIDs only",
    245: "its column Key holds numbers only",
}


def number_of(error: BaseException | None) -> int:
    """Return the number of an error of the server; 0 for any other."""
    return error.number if isinstance(error, ServerError) else 0


def is_lost(error: BaseException) -> bool:
    """Return whether the connection is lost, or must not be used any more."""
    if isinstance(error, ServerError):
        return error.severity >= _FATAL or error.number in _LOST
    return isinstance(error, ERRORS)


def is_full(error: BaseException | None) -> bool:
    """Return whether the server answers that it takes no more connections."""
    return number_of(error) in _FULL


def was_undone(error: BaseException) -> bool:
    """Return whether nothing was done because of concurrent calls."""
    return number_of(error) in _UNDONE or number_of(error) in DUPLICATES


def is_no_primary(error: BaseException) -> bool:
    """Return whether nothing was done, because this server is no longer the primary."""
    return number_of(error) in _NO_PRIMARY


def may_have_happened(error: BaseException) -> bool:
    """Return whether a write that was sent may have happened in spite of an error."""
    return is_lost(error)


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
    number = number_of(error)
    if number in _OF_KEYS:
        return KeyRefusedError(f"{where} can't hold such a key: {_OF_KEYS[number]}")
    if number in _PASSING:
        return StoreUnavailableError(f"{where} {_PASSING[number]} ({number})")
    if number in _REFUSALS:
        return StoreRefusedError(f"{where} {_REFUSALS[number]} ({number})")
    if number and not is_lost(error):
        return StoreRefusedError(f"{where} refused the call ({number})")
    if refused := _refusal(error):
        return StoreRefusedError(f"{where} {refused}")
    return StoreUnavailableError(f"{where} cannot be reached: {_why(error)}")


def _refusal(error: Exception) -> str:
    """Return why a connection cannot be made before something is changed; empty: it may be possible later."""
    if isinstance(error, TLSMissingError):
        return "offers no TLS; set it up there, or write encrypt=disable into connectionString"
    if isinstance(error, TLSWantedError):
        return "takes only connections with TLS; write encrypt=true into connectionString"
    if isinstance(error, MovedTooOftenError):
        return "names another server again and again; write the address of the last one"
    if is_about_certificate(error):
        return (
            f"has a certificate that is not trusted ({reason(error)}); write its authority's file into certificate, "
            "and the certificate's name into hostNameInCertificate, in connectionString"
        )
    return ""


def _why(error: Exception) -> str:
    if isinstance(error, BrokenProtocolError):
        return "the server does not keep to its protocol"
    if is_about_tls(error) or isinstance(error, OSError):
        return reason(error)
    return "the other side ended the connection"
