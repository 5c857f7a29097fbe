"""Translates etcd's errors into words that say what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grpc import StatusCode

from pannier_sidecar.network import answers
from pannier_sidecar.state.errors import (
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
    unanswered,
)

if TYPE_CHECKING:
    from grpc.aio import AioRpcError

_TOO_LARGE: Final = "takes 1.5 MiB at once, keys included, and this is too large; raise --max-request-bytes there"
_REFUSALS: Final = {
    "request is too large": _TOO_LARGE,
    "received message larger": _TOO_LARGE,
    "too many operations": "takes fewer operations in a transaction; lower maxTxnOps, or raise --max-txn-ops there",
    "database space exceeded": "is full: compact and defragment it, disarm its alarm, or raise --quota-backend-bytes",
    "permission denied": "gives this user too few rights; grant its role read and write on the keys of keyPrefixPath",
    "authentication failed": "refuses the user; write the right username and password",
    "user name is empty": "wants to know who calls; add username and password, or a client certificate",
    "authentication is not enabled": "has no users; take username and password out",
}
_PASSING: Final = frozenset(
    {
        StatusCode.UNAVAILABLE,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.CANCELLED,
        StatusCode.RESOURCE_EXHAUSTED,  # etcd sends it with a text of _REFUSALS; gRPC raises it for headers
        StatusCode.UNKNOWN,
        StatusCode.INTERNAL,
    }
)
_WHY: Final = {
    "Connection refused": "the connection is refused",
    "DNS": "its name has no address in DNS",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not accepted; check ca, and the host names it is for",
    "WRONG_VERSION_NUMBER": "it does not speak TLS on this port",
    "SSL": "TLS failed; check tlsEnable, ca, cert and key",
    "handshake": "TLS failed; check tlsEnable, ca, cert and key",
    "Socket closed": "the other side ended the connection",
    "Connection reset": "the other side ended the connection",
    "no leader": "it has no leader",
    "leader changed": "its leader changes",
    "timed out": "it does not answer",
    "unreachable": "there is no way to it",
}
_NOT_SENT: Final = ("failed to connect to all addresses", "DNS resolution failed", "DNS query cancelled")
_ANSWER_TOO_LARGE: Final = "Received message larger than max"
"""gRPC's text for an answer that is too large; servers have another text for such a request."""
LEASE_IS_THERE: Final = "lease already exists"
LEASE_IS_GONE: Final = "lease not found"
IS_COMPACTED: Final = "required revision has been compacted"
NOT_NOW: Final = "too many requests"
"""Answered before anything is proposed to the other members, so nothing was done."""
TOKEN_IS_OLD: Final = "invalid auth token"


def mentions(error: AioRpcError, words: str) -> bool:
    return words in (error.details() or "")


def was_not_sent(error: AioRpcError) -> bool:
    return error.code() is StatusCode.UNAVAILABLE and any(mentions(error, words) for words in _NOT_SENT)


def is_late(error: AioRpcError) -> bool:
    return error.code() is StatusCode.DEADLINE_EXCEEDED


def may_pass(error: AioRpcError) -> bool:
    """Return whether another endpoint may succeed."""
    return error.code() is StatusCode.UNAVAILABLE or is_late(error)


def translate(error: AioRpcError, where: str, *, is_write: bool, timeout: float) -> StoreError:
    """Return the error to raise for an error of gRPC. `timeout` is in seconds."""
    translated = _translate(error, where, timeout, is_write)
    translated.__cause__ = error
    return translated


def _translate(error: AioRpcError, where: str, timeout: float, is_write: bool) -> StoreError:
    details = error.details() or ""
    for words, advice in _REFUSALS.items():
        if words in details:
            return StoreRefusedError(f"{where} {advice}")
    if _ANSWER_TOO_LARGE in details:
        too_large = answers.too_large(where)
        return OutcomeUnknownError(str(too_large)) if is_write else too_large
    if NOT_NOW in details:
        return StoreUnavailableError(f"{where} does not keep up with what is asked of it")
    if error.code() not in _PASSING:
        return StoreRefusedError(f"{where} refused the call ({error.code().name})")
    late = f"{where} did not answer within {timeout:g} s"
    cause = late if is_late(error) else f"{where} can't be reached: {_why(error, details)}"
    return unanswered(cause, may_have_changed=is_write and not was_not_sent(error))


def of_cancelled(reason: str, where: str) -> StoreError:
    """Return the error to raise for a watch that etcd has cancelled, with what it says of it."""
    for words, advice in _REFUSALS.items():
        if words in reason:
            return StoreRefusedError(f"{where} {advice}")
    return StoreUnavailableError(f"{where} cancelled the watch of its keys")


def _why(error: AioRpcError, details: str) -> str:
    return next((ours for theirs, ours in _WHY.items() if theirs in details), f"the call failed ({error.code().name})")
