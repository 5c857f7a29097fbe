"""What can go wrong, and whether the write may have happened nevertheless.

    PannierError
        UnreachableError       no sidecar has answered
        OutcomeUnknownError    a write was sent, and its answer is lost
        RefusedError           the sidecar has answered with an error
            ConflictError      the ETag is not the current one, or a key that was to be created exists
        LockTakenError         somebody else holds the lock
        LockLostError          the lock was lost while it was held

None has a value or a token in its text.
"""

from __future__ import annotations


class PannierError(Exception):
    """The text is one line, which says what to do."""

    status: int | None = None
    """The HTTP status of the sidecar's answer; None: there was no answer."""
    error_code: str = ""
    """The `errorCode` of the answer, such as `ERR_STATE_SAVE`; empty if it has none."""
    may_have_happened: bool = False
    """Whether the write may have happened. If so, read before writing again."""


class UnreachableError(PannierError):
    """No sidecar has answered. Nothing was written."""


class RefusedError(PannierError):
    """The sidecar has answered with an error."""

    def __init__(self, message: str, status: int, error_code: str, may_have_happened: bool = False):
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.may_have_happened = may_have_happened


class ConflictError(RefusedError):
    """The ETag is not the current one, or a key that was to be created exists. Nothing was written."""


class OutcomeUnknownError(PannierError):
    """A write was sent, and not answered: by the sidecar, or by the database behind it."""

    may_have_happened = True

    def __init__(self, message: str, status: int | None = None, error_code: str = ""):
        super().__init__(message)
        self.status = status
        self.error_code = error_code


class LockTakenError(PannierError):
    """Somebody else holds the lock."""


class LockLostError(PannierError):
    """The lock was lost while it was held: somebody else may hold it now."""
