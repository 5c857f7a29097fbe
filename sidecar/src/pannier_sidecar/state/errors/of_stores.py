"""What a store says went wrong: `StoreError` and its kinds."""

from __future__ import annotations

from typing import ClassVar

from .codes import GrpcCode


class StoreError(Exception):
    """A store could not do what was asked; the text says why, in words for the app's developer.

    A new HTTP status needs a rank in `_severity` of `of_operations.py` too.
    """

    http_status: ClassVar[int] = 500
    grpc_code: ClassVar[GrpcCode] = GrpcCode.INTERNAL
    dapr_text: str | None = None
    """What Dapr says instead, where its words are known; used in profile `dapr`."""


class ETagMismatchError(StoreError):
    """The stored ETag is another one, or the key is absent, or it is present where it must not be."""

    http_status = 409
    grpc_code = GrpcCode.ABORTED

    dapr_prefix: ClassVar[str] = "possible etag mismatch. error from state store"

    def __str__(self) -> str:
        cause = Exception.__str__(self)
        return self.dapr_prefix + (f": {cause}" if cause else "")


class InvalidETagError(ETagMismatchError):
    """The store never makes such an ETag, so it cannot match. Profile `dapr` keeps Dapr's separate answer."""

    dapr_prefix = "invalid etag value"


class KeyRefusedError(StoreError):
    """The store cannot hold this key, for example because it is too long."""

    http_status = 400
    grpc_code = GrpcCode.INVALID_ARGUMENT


class InvalidCursorError(StoreError):
    """The cursor was not made by this store."""

    http_status = 400
    grpc_code = GrpcCode.INVALID_ARGUMENT


class NotSupportedError(StoreError):
    """The store cannot keep a promise that the request asks for; nothing was written."""

    http_status = 400
    grpc_code = GrpcCode.FAILED_PRECONDITION


class TransactionTooLargeError(StoreError):
    """The store takes no more than `limit` operations in a transaction, which it knew only when it was asked; nothing
    was written.
    """

    http_status = 400
    grpc_code = GrpcCode.INVALID_ARGUMENT

    def __init__(self, limit: int):
        super().__init__(f"the store takes {limit} operations in a transaction")
        self.limit = limit


class UndecryptableError(StoreError):
    """The stored value is not one that the component's keys open: it says why, and what to change."""

    def __str__(self) -> str:
        return f"could not decrypt the value: {super().__str__()}"


class ValueInPartsError(StoreError):
    """The value is kept in parts, and too large for a call that returns it in one piece. Nothing of it was read."""

    http_status = 400
    grpc_code = GrpcCode.FAILED_PRECONDITION

    def __init__(self, size: int, limit: int, value: object):
        """`value` is what reads it part by part."""
        super().__init__(
            f"the value has {size:,} bytes, and this call returns values of up to {limit:,}; "
            "read it over HTTP: GET /v1.0/state/STORE/KEY"
        )
        self.value = value
        self.store: object = None
        """The store as it was served when the value was found."""


class ValueTooLargeError(StoreError):
    """A value is larger than the component allows; nothing was written."""

    http_status = 413
    grpc_code = GrpcCode.RESOURCE_EXHAUSTED

    def __init__(self, limit: int):
        super().__init__(
            f"the value has over {limit:,} bytes; send a smaller one, or raise largeValueMaxSize in the component"
        )


class StoreUnavailableError(StoreError):
    """The call certainly did not happen: it was not sent, or the store refused it for now; trying again may help. An
    unanswered read is such an error too.
    """

    http_status = 503
    grpc_code = GrpcCode.UNAVAILABLE


class CircuitOpenError(StoreUnavailableError):
    """A circuit breaker of a Resiliency refuses the call, which was not sent. Another attempt is refused too, until
    `retry_after` seconds have passed, so no retry policy makes one.
    """

    def __init__(self, why: str, retry_after: float, dapr_text: str = "circuit breaker is open"):
        super().__init__(why)
        self.retry_after = retry_after
        self.dapr_text = dapr_text


class PartlyUnavailableError(StoreUnavailableError):
    """Some of the store's servers work and others do not: raised about the store's health, never about a call."""


class OutcomeUnknownError(StoreError):
    """A write was sent and its answer was lost: it may or may not have happened."""

    grpc_code = GrpcCode.UNKNOWN
    doubt: ClassVar[str] = "the write may or may not have happened: "

    def __str__(self) -> str:
        cause = super().__str__()
        return cause if cause.endswith(READ_FIRST) else f"{cause}; {self.doubt}{READ_FIRST}"


READ_FIRST = "read the key before writing again"


def unanswered(what: str, *, may_have_changed: bool) -> StoreError:
    """Return the error of a call that was sent and got no valid answer; `what` is why: `the connection was lost`.

    Without `may_have_changed`, as for any read, it certainly did not happen.
    """
    return OutcomeUnknownError(what) if may_have_changed else StoreUnavailableError(what)


def is_unreached(error: object) -> bool:
    """Return whether a call was sent, or was to be sent, and the store did not answer or refused it for now."""
    is_meant = isinstance(error, StoreUnavailableError | OutcomeUnknownError)
    return is_meant and not isinstance(error, CircuitOpenError)


class KitError(StoreError):
    """An error that a pluggable component made for the client, with its own status and code (dapr/kit, package
    `errors`).
    """

    def __init__(self, where: str, said: str, http_status: int, grpc_code: GrpcCode, tag: str = ""):
        """`where` is the component and `said` its text; `tag` is the error's code, if it is not the operation's."""
        super().__init__(f"{where} says: {said}")
        self.said = said
        self.http_status = http_status  # type: ignore[misc]  # each has its own
        self.grpc_code = grpc_code  # type: ignore[misc]
        self.tag = tag
        self.dapr_text = f"api error: code = {grpc_code.name_in_go} desc = {said}"


class TooFewReplicasError(OutcomeUnknownError):
    """A strong write is on the primary, but fewer replicas than asked for acknowledged it in time."""

    doubt = "it may be lost yet: "


class StoreRefusedError(StoreError):
    """The store refused the call; trying again does not help."""
