"""The client's errors in words that say what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bson.errors import BSONError
from pymongo.errors import (
    ConnectionFailure,
    DocumentTooLarge,
    ExecutionTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
)

from pannier_sidecar.state.errors import (
    KeyRefused,
    OutcomeUnknown,
    StoreFault,
    StoreRefused,
    StoreUnavailable,
    TooFewReplicas,
)

if TYPE_CHECKING:
    from .server import Server
    from .settings import MongoDBSettings

CLIENT_ERRORS: Final = (PyMongoError, BSONError, UnicodeError)
"""All that the client raises, for text that it cannot encode too."""

DUPLICATE_KEY: Final = 11000
_UNAUTHORIZED: Final = 13
_NOT_WRITABLE: Final = frozenset({10107, 13435})
"""The server said at once that it is not the primary, so it has done nothing."""
_REFUSALS: Final = {
    14031: "has no space left on its disk: free some",
    10334: "takes documents of up to 16 MiB, and this value is too large",
    17419: "takes documents of up to 16 MiB, and this value is too large",
}


def of_read(error: Exception, settings: MongoDBSettings) -> StoreFault:
    """Return the fault that tells of a call that has changed nothing."""
    if isinstance(error, ConnectionFailure | ExecutionTimeout):
        return StoreUnavailable(f"{settings} gave no answer within {settings.timeout:g} s: {_first_words(error)}")
    return _refusal(error, settings)


def of_write(error: Exception, server: Server) -> StoreFault:
    """Return the fault that tells of a write that may have been sent."""
    settings = server.settings
    if isinstance(error, WriteConcernError):
        return TooFewReplicas(f"{settings} has the write, but not on as many members as asked for: {error}")
    if isinstance(error, ConnectionFailure | ExecutionTimeout) and not _was_not_sent(error, server.repeats_writes):
        return unknown(error, settings)
    return of_read(error, settings)


def unknown(error: Exception, settings: MongoDBSettings) -> StoreFault:
    return OutcomeUnknown(f"{settings} was lost before it answered: {_first_words(error)}")


def _was_not_sent(error: PyMongoError, may_be_second: bool) -> bool:
    """Say whether it was not sent, nor an attempt before it, which the client would have told of in two cases alone."""
    if isinstance(error, ServerSelectionTimeoutError) or error.has_error_label("NoWritesPerformed"):
        return True
    if may_be_second:
        return False
    if isinstance(error, NotPrimaryError):
        return isinstance(error.details, dict) and error.details.get("code") in _NOT_WRITABLE
    return isinstance(error, WaitQueueTimeoutError)


def _first_words(error: Exception) -> str:
    """Leave out what the client tells of its own settings and of every server it knows."""
    return str(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0]


def _refusal(error: Exception, settings: MongoDBSettings) -> StoreFault:
    if isinstance(error, UnicodeError):
        return KeyRefused(f"MongoDB takes only Unicode text for keys and ETags: {error}")
    if isinstance(error, DocumentTooLarge):
        return StoreRefused(f"{settings} {_REFUSALS[10334]}")
    if not isinstance(error, OperationFailure):
        return StoreRefused(f"{settings} can't be used as the component says: {error}")
    text = str((error.details or {}).get("errmsg") or error)
    if "authentication failed" in text.lower():
        return StoreRefused(
            f"{settings} knows no such user or another password ({text}); correct username and password, or name the "
            f"database that has the user: params: ?authSource=admin (it is {settings.database} otherwise)"
        )
    if error.code == _UNAUTHORIZED or "requires authentication" in text or "Authentication required" in text:
        return StoreRefused(
            f"{settings} does not allow it ({text}); give username and password of a user with the role readWrite on "
            f"the database {settings.database}"
        )
    return StoreRefused(f"{settings} {_REFUSALS.get(error.code or 0, 'refused the call')} ({text})")
