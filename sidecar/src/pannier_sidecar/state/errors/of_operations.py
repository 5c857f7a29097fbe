"""The errors of calls that failed in their store. A call has one status for the errors of all its items."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, ClassVar

from ..wording import joined_dapr_message, joined_message, shortened
from .codes import GrpcCode
from .of_calls import StateError
from .of_stores import (
    CircuitOpenError,
    ETagMismatchError,
    InvalidETagError,
    KitError,
    OutcomeUnknownError,
    StoreError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


OUTCOME_UNKNOWN = "ERR_STATE_OUTCOME_UNKNOWN"
RETRY_AFTER_S = 1
"""`retry_after` of a call that did not happen because its store cannot be reached."""


class OperationFailedError(StateError):
    """A call reached its store and failed there, for one item or several.

    The gravest error decides the status. The gravest is a write that may have happened; then come a failure (500), a
    store that can't be reached (503), a request that the store cannot take (400), and a mismatch (409). 503 promises
    that nothing of the request happened, because clients and proxies repeat such a request as a whole; if other items
    were written, the status is 500.

    Dapr's statuses are for mismatches (409), invalid ETags (400) and failures (500). Over gRPC, a write that may have
    happened is UNKNOWN in profile `dapr` too, because clients do not repeat a call with that status.
    """

    _reports_mismatches: ClassVar[bool] = True
    """Whether Dapr has a separate status for an ETag mismatch. If not, it answers as for any other failure."""
    _passes_kit_errors_on: ClassVar[bool] = True
    """Whether Dapr answers with the status of a `KitError`."""

    def __init__(
        self,
        code: str,
        what: str,
        errors: Sequence[tuple[str, StoreError]],
        of_items: Sequence[StoreError | None] | None = None,
        *,
        is_partly_done: bool = False,
    ):
        """Report `errors`, (key, error); `what` is Dapr's text, like `failed saving state in state store S`."""
        self.errors = tuple(errors)
        self.of_items = of_items
        """The error of each item of the request, None for one that was written; None: they are not known one by one."""
        super().__init__(f"{what}: {joined_message(self.errors)}")
        gravest = min((error for _, error in errors), key=_severity)
        self.code = code  # type: ignore[misc]  # one class serves the operations, which differ in nothing else
        self.reason = None
        self.http_status = gravest.http_status
        self.grpc_code = gravest.grpc_code
        self._answer_as_dapr(what, gravest)
        if isinstance(gravest, OutcomeUnknownError):
            self.code, self.dapr_code = OUTCOME_UNKNOWN, code  # type: ignore[misc]
        elif isinstance(gravest, KitError):
            self.code, self.dapr_code = gravest.tag or code, code  # type: ignore[misc]
        elif isinstance(gravest, StoreUnavailableError):
            if is_partly_done:
                self.http_status, self.grpc_code = 500, GrpcCode.INTERNAL
            else:
                self.retry_after = max(_retry_after(error) for _, error in errors)

    def _answer_as_dapr(self, what: str, gravest: StoreError) -> None:
        is_unknown = isinstance(gravest, OutcomeUnknownError)
        self.dapr_http_status, prefix = 500, ""
        self.dapr_grpc_code = GrpcCode.UNKNOWN if is_unknown else GrpcCode.INTERNAL
        if self._reports_mismatches and isinstance(gravest, ETagMismatchError):
            self.dapr_http_status, self.dapr_grpc_code, kind = 409, GrpcCode.ABORTED, ETagMismatchError
            if any(isinstance(error, InvalidETagError) for _, error in self.errors):
                self.dapr_http_status, self.dapr_grpc_code, kind = 400, GrpcCode.INVALID_ARGUMENT, InvalidETagError
            prefix = f"{kind.dapr_prefix}: "
        elif self._passes_kit_errors_on and isinstance(gravest, KitError):
            self.dapr_http_status, self.dapr_grpc_code = gravest.http_status, gravest.grpc_code
            self.dapr_grpc_message = gravest.said
        if len(self.errors) > 1 or self.errors[0][1].dapr_text:
            self.dapr_message = shortened(f"{what}: {prefix}{joined_dapr_message(self.errors)}")


class TransactionFailedError(OperationFailedError):
    """A transaction failed in its store: nothing of it was written, unless that is unknown."""

    _reports_mismatches = False
    _passes_kit_errors_on = False

    def __init__(self, code: str, what: str, error: StoreError):
        super().__init__(code, what, [("", error)])


class ActorOperationFailedError(TransactionFailedError):
    """A read or a transaction of an actor's state failed in its store."""

    has_dapr_grpc_details = False


class BulkGetFailedError(OperationFailedError):
    """A bulk get failed as a whole; Dapr passes on only the store's message."""

    _reports_mismatches = False
    has_dapr_grpc_details = False

    def __init__(self, what: str, key: str, error: StoreError):
        super().__init__("ERR_STATE_BULK_GET", what, [(key, error)])
        if not isinstance(error, KitError):
            self.dapr_grpc_code = GrpcCode.UNKNOWN
        self.dapr_message = shortened(error.dapr_text or str(error))


def _retry_after(error: StoreError) -> int:
    return max(RETRY_AFTER_S, ceil(error.retry_after)) if isinstance(error, CircuitOpenError) else RETRY_AFTER_S


def _severity(error: StoreError) -> int:
    """Return the rank of an error, the gravest first; a status that is not listed ranks like a mismatch."""
    if isinstance(error, OutcomeUnknownError):
        return 0
    return {503: 2, 400: 3, 413: 3}.get(error.http_status, 1 if error.http_status >= 500 else 4)
