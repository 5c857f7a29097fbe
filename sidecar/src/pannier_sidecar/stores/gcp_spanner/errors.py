"""Translates Spanner's errors into words that say what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grpc import StatusCode

from pannier_sidecar.network import answers
from pannier_sidecar.state.errors import StoreRefusedError, unanswered

if TYPE_CHECKING:
    from grpc.aio import AioRpcError

    from .settings import SpannerSettings

_PASSING: Final = frozenset(
    {
        StatusCode.UNAVAILABLE,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.CANCELLED,
        StatusCode.ABORTED,
        StatusCode.RESOURCE_EXHAUSTED,
        StatusCode.INTERNAL,
        StatusCode.UNKNOWN,
    }
)
_ANSWER_TOO_LARGE: Final = "CLIENT: Received message larger than max"
_NEVER_SENT: Final = ("failed to connect", "Connection refused", "DNS resolution failed")
_WHY: Final = {
    "Connection refused": "the connection is refused",
    "DNS": "its name has no address in DNS",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not accepted",
    "SSL": "TLS failed",
    "Socket closed": "the other side ended the connection",
    "Connection reset": "the other side ended the connection",
    "unreachable": "there is no way to it",
}
_TABLE: Final = (
    "CREATE TABLE {table} (key STRING(MAX) NOT NULL, value BYTES(MAX) NOT NULL, etag TIMESTAMP NOT NULL OPTIONS "
    "(allow_commit_timestamp = true), expires_at TIMESTAMP) PRIMARY KEY (key), "
    "ROW DELETION POLICY (OLDER_THAN(expires_at, INTERVAL 0 DAY))"
)


class SessionLostError(Exception):
    """Spanner has ended the session; nothing was done, and the call may be made on another one."""


class AbortedError(Exception):
    """Spanner aborted the transaction because of another one; nothing was done, and it may be retried."""


def translate(error: AioRpcError, settings: SpannerSettings, *, is_write: bool) -> Exception:
    """Return the error to raise for a status: AbortedError, SessionLostError or a StoreError.

    `is_write`: the call may have changed something, so that without an answer the outcome is unknown.
    """
    code, details = error.code(), error.details() or ""
    where = settings.where
    if code is StatusCode.ABORTED:
        return AbortedError()
    if code is StatusCode.NOT_FOUND and details.startswith("Session not found"):
        return SessionLostError()
    if details.startswith(_ANSWER_TOO_LARGE) and not is_write:
        return answers.too_large(where)
    if code in _PASSING:
        if code is StatusCode.DEADLINE_EXCEEDED:
            text = f"{where} did not answer within {settings.timeout:g} s (timeout)"
        else:
            text = f"{where} can't be reached: {_why(code, details)}"
        was_sent = code is not StatusCode.UNAVAILABLE or not any(sign in details for sign in _NEVER_SENT)
        return unanswered(text, may_have_changed=is_write and was_sent)
    return StoreRefusedError(f"{where} refused ({code.name})" + _advice(code, details, settings))


def _why(code: StatusCode, details: str) -> str:
    return next((ours for theirs, ours in _WHY.items() if theirs in details), f"the call failed ({code.name})")


def _advice(code: StatusCode, details: str, settings: SpannerSettings) -> str:
    if code is StatusCode.UNAUTHENTICATED:
        return "; check credentialsJSON, or the application default credentials if it is not set"
    if code is StatusCode.PERMISSION_DENIED:
        return f"; grant roles/spanner.databaseUser on {settings.shown_database} to the account in use"
    if "Table not found" in details:
        return "; check tableName, or create the table: " + _TABLE.format(table=settings.shown_table)
    if "Column not found" in details:
        return "; the table needs the columns of: " + _TABLE.format(table=settings.shown_table)
    if code is StatusCode.NOT_FOUND:
        return f"; check projectId, instanceId and databaseId, which make {settings.shown_database}"
    return ""
