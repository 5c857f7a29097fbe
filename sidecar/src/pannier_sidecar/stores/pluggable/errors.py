"""Translates a component's errors into words that say what to change.

A component says with a code of gRPC that a call failed, and with details of google.rpc why. Its texts are not shown,
with one exception: an error of Dapr's kit is made for the client, with a status and a code of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grpc import StatusCode

from pannier_crds.problems import one_line
from pannier_crds.secret import HIDDEN, Secret
from pannier_sidecar.network import answers
from pannier_sidecar.protobuf import MalformedMessageError, decode
from pannier_sidecar.state.errors import (
    ETagMismatchError,
    GrpcCode,
    InvalidETagError,
    KitError,
    NotSupportedError,
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    unanswered,
)

from .messages import BadRequest, ErrorInfo, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grpc.aio import AioRpcError

    from .settings import PluggableSettings

_DETAILS: Final = "grpc-status-details-bin"
_BAD_REQUEST: Final = "type.googleapis.com/google.rpc.BadRequest"
_ERROR_INFO: Final = "type.googleapis.com/google.rpc.ErrorInfo"
_MAX_DETAILS: Final = 64 * 1024
"""Bytes of details that are read."""
_MAX_TAG_CHARS: Final = 100
_ETAG_ERRORS: Final = {
    StatusCode.FAILED_PRECONDITION: ETagMismatchError,
    StatusCode.INVALID_ARGUMENT: InvalidETagError,
}
_PASSING: Final = frozenset(
    {
        StatusCode.ABORTED,
        StatusCode.CANCELLED,
        StatusCode.DATA_LOSS,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.INTERNAL,
        StatusCode.UNAVAILABLE,
        StatusCode.UNKNOWN,
    }
)
"""Codes that leave open whether something was done: a component that fails in the middle of a write answers so."""
_NOT_SENT: Final = ("failed to connect to all addresses", "DNS resolution failed")
_TOO_LARGE: Final = "eceived message larger than max"
_ANSWER_TOO_LARGE: Final = "CLIENT: R" + _TOO_LARGE
"""gRPC's text for an answer that is too large; servers have another text for such a request."""
_WHY: Final = {
    "Connection refused": "nothing listens on its socket",
    "No such file": "its socket is gone",
    "Socket closed": "it ended the connection",
    "Connection reset": "it ended the connection",
    "GOAWAY": "it ended the connection",
}


def translate(error: AioRpcError, settings: PluggableSettings, *, is_write: bool) -> StoreError:
    """Return the error to raise for an error of gRPC; `store.py` adds the key to an ETagMismatchError."""
    code, text = error.code(), error.details() or ""
    details = list(_details(error))
    kind = _ETAG_ERRORS.get(code)
    if kind is not None and is_write and _is_about_etag(details):
        return kind()
    kit = _kit_error(code, text, details, settings)
    if kit is not None:
        return kit
    return _by_code(code, text, settings, is_write)


def _by_code(code: StatusCode, text: str, settings: PluggableSettings, is_write: bool) -> StoreError:
    where = settings.where
    if _TOO_LARGE in text:
        if _ANSWER_TOO_LARGE not in text:
            return StoreRefusedError(f"{where} takes no message of this size; raise its limit, or send less at once")
        too_large = answers.too_large(where)
        return OutcomeUnknownError(str(too_large)) if is_write else too_large
    if code is StatusCode.UNIMPLEMENTED:
        return NotSupportedError(f"{where} does not serve this call")
    if code not in _PASSING:
        return StoreRefusedError(f"{where} refused the call ({code.name}); its own log may say why")
    was_sent = code is not StatusCode.UNAVAILABLE or not any(sign in text for sign in _NOT_SENT)
    if code is StatusCode.DEADLINE_EXCEEDED:
        return unanswered(late(settings), may_have_changed=is_write)
    why = next((ours for theirs, ours in _WHY.items() if theirs in text), f"it failed ({code.name})")
    return unanswered(f"{where} gave no answer: {why}", may_have_changed=is_write and was_sent)


def late(settings: PluggableSettings) -> str:
    return f"{settings.where} did not answer within {settings.timeout:g} s"


def malformed(settings: PluggableSettings, message: str) -> StoreError:
    """Return the error for an answer to a read that is not the message that it should be."""
    return StoreRefusedError(f"{settings.where} answered with what is no {message}")


def _details(error: AioRpcError) -> Iterator[BadRequest | ErrorInfo]:
    """Yield the details that mean something here; what cannot be read has no meaning."""
    for name, value in error.trailing_metadata() or ():
        if name != _DETAILS or not isinstance(value, bytes) or len(value) > _MAX_DETAILS:
            continue
        try:
            for each in decode(Status, value).details:
                if each.type_url == _BAD_REQUEST:
                    yield decode(BadRequest, each.value)
                elif each.type_url == _ERROR_INFO:
                    yield decode(ErrorInfo, each.value)
        except MalformedMessageError:
            continue


def _is_about_etag(details: list[BadRequest | ErrorInfo]) -> bool:
    return any(
        violation.field == "etag"
        for each in details
        if isinstance(each, BadRequest)
        for violation in each.field_violations
    )


def _kit_error(
    code: StatusCode, text: str, details: list[BadRequest | ErrorInfo], settings: PluggableSettings
) -> KitError | None:
    """Return the error that the component made for the client; None if it made none, or one that is no error."""
    for each in details:
        fields = each.metadata if isinstance(each, ErrorInfo) else {}
        status = fields.get("http_code", "")
        if fields.get("kit_error") != "true" or not (status.isascii() and status.isdigit() and len(status) == 3):
            continue
        if 400 <= int(status) <= 599:
            tag = fields.get("tag", "")
            is_word = tag.isascii() and tag.isprintable() and len(tag) <= _MAX_TAG_CHARS
            said = one_line(_without_secrets(text, settings))
            return KitError(settings.where, said, int(status), GrpcCode(code.value[0]), tag if is_word else "")
    return None


def _without_secrets(text: str, settings: PluggableSettings) -> str:
    for value in settings.properties.values():
        if isinstance(value, Secret) and value:
            text = text.replace(value.reveal(), HIDDEN)
    return text
