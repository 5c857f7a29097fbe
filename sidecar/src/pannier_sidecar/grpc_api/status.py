"""The status of a failed call: gRPC status code, message, and google.rpc details.

The content of a detail is declared on the error (`StateError` in `state/errors`: violation, help_link, info, resource).
Over HTTP, `_details` in `http_api/encoding.py` writes the same. Layotto's service has no details: `layotto_error` in
`layotto.py` makes its statuses.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from ..protobuf import encode
from ..state.errors import ApiNotAllowedError, EmptyKeyError, StoreNotFoundError
from .messages import AnyValue, BadRequest, ErrorInfo, FieldViolation, Help, Link, ResourceInfo, RpcStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from msgspec import Struct

    from ..state.errors import StateError

TYPES = "type.googleapis.com/google.rpc."


class Code(IntEnum):
    """gRPC's status codes (https://grpc.github.io/grpc/core/md_doc_statuscodes.html)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class StatusError(Exception):
    """A call is answered with this status instead of a message."""

    def __init__(self, code: int, message: str, details: bytes = b"", advice: str = ""):
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        """An encoded google.rpc.Status, or nothing."""
        self.advice = advice
        """What to do, if the message does not say it."""


def failure(error: StateError) -> StatusError:
    """Return the status of a state error, with advice in the message and the details of Dapr 1.18."""
    return _failure(error.grpc_code, str(error), _details(error, error.reason or error.code))


def failure_in_daprs_words(error: StateError) -> StatusError:
    """Return the status of Dapr 1.18. The advice is not in its details, whose fields Dapr leaves empty."""
    if isinstance(error, ApiNotAllowedError):
        return _of_http(Code.UNIMPLEMENTED, 501, "Not Implemented", "requested endpoint is not available")
    code = error.grpc_code if error.dapr_grpc_code is None else error.dapr_grpc_code
    message = next(text for text in (error.dapr_grpc_message, error.dapr_message, error.message) if text is not None)
    reason = error.dapr_reason or error.reason or error.dapr_code or error.code
    if isinstance(error, EmptyKeyError):
        message, reason = "state key cannot be empty", "ERR_STATE_SAVE"
    if not error.has_dapr_grpc_details:
        return StatusError(code, message, advice=error.advice)
    return _failure(code, message, _details(error, reason), error.advice)


def _failure(code: int, message: str, details: Iterable[Struct], advice: str = "") -> StatusError:
    packed = [AnyValue(TYPES + type(detail).__name__, encode(detail)) for detail in details]
    return StatusError(code, message, encode(RpcStatus(code, message, packed)), advice)


def unauthenticated(why: str) -> StatusError:
    """Return the failure of a call whose API token is missing or wrong, in Dapr's words."""
    return _of_http(Code.UNAUTHENTICATED, 401, "Unauthorized", why)


def _of_http(code: Code, http_code: int, words: str, why: str) -> StatusError:
    """Return a failure as Dapr makes it of a status of HTTP."""
    info = ErrorInfo(words, "dapr.io", {"http.code": str(http_code), "http.error_message": why})
    return _failure(code, words, [info])


def _details(error: StateError, reason: str) -> Iterator[Struct]:
    if error.violation is not None:
        yield BadRequest([FieldViolation(*error.violation)])
    if error.help_link is not None:
        yield Help([Link(*error.help_link)])
    # Dapr's answer about a missing store has the app id over HTTP only.
    info = {} if isinstance(error, StoreNotFoundError) else dict(error.info or {})
    if error.resource is not None:
        yield ResourceInfo("state", error.resource)
    yield ErrorInfo(reason, "dapr.io", info)
