"""Translates the client's errors into words that say what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bson.errors import BSONError, InvalidBSON
from pymongo.errors import (
    ConnectionFailure,
    DocumentTooLarge,
    ExecutionTimeout,
    NotPrimaryError,
    OperationFailure,
    ProtocolError,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
)

from pannier_sidecar.state.errors import (
    KeyRefusedError,
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
    TooFewReplicasError,
)

if TYPE_CHECKING:
    from .settings import MongoDBSettings

CLIENT_ERRORS: Final = (PyMongoError, BSONError, UnicodeError)
"""All that the client raises, also for text that it cannot encode."""

_NO_ANSWERS: Final = ProtocolError | InvalidBSON
"""What was received is not an answer of MongoDB's; the request may have been carried out nevertheless."""
DUPLICATE_KEY: Final = 11000
_UNAUTHORIZED: Final = 13
_NOT_WRITABLE: Final = frozenset({10107, 13435})
"""Codes of a server that is not the primary and has done nothing."""
_WHY: Final = {
    "Connection refused": "the connection is refused",
    "Connection reset": "the other side ended the connection",
    "connection closed": "the other side ended the connection",
    "Name or service not known": "its name has no address in DNS",
    "nodename nor servname": "its name has no address in DNS",
    "No address associated": "its name has no address in DNS",
    "Temporary failure in name resolution": "DNS does not answer",
    "DNS": "DNS knows no such servers",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not accepted; check tlsCAFile, and the host names it is for",
    "SSL": "TLS failed; check tls, tlsCAFile and tlsCertificateKeyFile",
    "No replica set members": "no member of the replica set is the primary, or has its name",
    "No primary": "the replica set has no primary",
    "not primary": "it is not the primary",
    "timed out": "it does not answer (timed out)",
    "No servers found": "it does not answer",
    "Port contains": "a port is no number, or the password holds characters that have to be written as %XX",
    "must be escaped": "the user or the password holds characters that have to be written as %XX",
    "Port must be": "a port is no number from 1 to 65535",
    "Auth mechanism": "the authMechanism does not fit the rest",
    "authMechanism": "the authMechanism does not fit the rest",
    "option": "an option is not one that the client takes",
}
_REFUSALS: Final = {
    14031: "has no space left on its disk: free some",
    10334: "takes documents of up to 16 MiB, and this value is too large",
    17419: "takes documents of up to 16 MiB, and this value is too large",
}


def translate(
    error: Exception, settings: MongoDBSettings, *, is_write: bool, repeats_writes: bool = False
) -> StoreError:
    """Return the error to raise for an error of the client.

    `is_write`: the call may have changed something. `repeats_writes`: the client may have sent it twice.
    """
    if is_write and isinstance(error, WriteConcernError):
        return TooFewReplicasError(f"{settings} has the write, but not on as many members as asked for")
    if isinstance(error, ConnectionFailure | ExecutionTimeout | _NO_ANSWERS):
        if is_write and not _was_not_sent(error, repeats_writes):
            return unknown(error, settings)
        if isinstance(error, _NO_ANSWERS):
            return StoreUnavailableError(f"what answers at {settings} is no MongoDB")
        return StoreUnavailableError(f"{settings} gave no answer within {settings.timeout:g} s: {why(error)}")
    return _refusal(error, settings)


def unknown(error: Exception, settings: MongoDBSettings) -> StoreError:
    return OutcomeUnknownError(f"{settings} was lost before it answered: {why(error)}")


def _was_not_sent(error: PyMongoError | InvalidBSON, may_be_second: bool) -> bool:
    """Return whether neither this attempt nor an earlier one was sent. Only two errors prove that for an
    earlier one.
    """
    if isinstance(error, InvalidBSON):
        return False
    if isinstance(error, ServerSelectionTimeoutError) or error.has_error_label("NoWritesPerformed"):
        return True
    if may_be_second:
        return False
    if isinstance(error, NotPrimaryError):
        return isinstance(error.details, dict) and error.details.get("code") in _NOT_WRITABLE
    return isinstance(error, WaitQueueTimeoutError)


def why(error: Exception) -> str:
    """Return why no server could be used: our words for those of the client and the system."""
    text = str(error)
    if isinstance(error, OSError) and not isinstance(error, PyMongoError):
        return "a file that an option names can't be read"
    return next((ours for theirs, ours in _WHY.items() if theirs in text), f"it failed ({type(error).__name__})")


def _refusal(error: Exception, settings: MongoDBSettings) -> StoreError:
    if isinstance(error, UnicodeError):
        return KeyRefusedError(f"MongoDB takes only Unicode text for keys and ETags: {_position(error)}")
    if isinstance(error, DocumentTooLarge):
        return StoreRefusedError(f"{settings} {_REFUSALS[10334]}")
    if not isinstance(error, OperationFailure):
        return StoreRefusedError(f"{settings} can't be used as the component says: {why(error)}")
    text = str((error.details or {}).get("errmsg") or error)
    if "authentication failed" in text.lower():
        return StoreRefusedError(
            f"{settings} knows no such user or another password; correct username and password, or name the "
            f"database that has the user: params: ?authSource=admin (it is {settings.shown_database} otherwise)"
        )
    if error.code == _UNAUTHORIZED or "requires authentication" in text or "Authentication required" in text:
        return StoreRefusedError(
            f"{settings} does not allow it; give username and password of a user with the role readWrite on "
            f"the database {settings.shown_database}"
        )
    return StoreRefusedError(f"{settings} {_REFUSALS.get(error.code or 0, 'refused the call')} (code {error.code})")


def _position(error: UnicodeError) -> str:
    return f"character {error.start + 1} is half of a surrogate pair" if isinstance(error, UnicodeEncodeError) else "no"
