"""Translates the errors of Cassandra and its driver into our own words, which say what to change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cassandra import (
    AuthenticationFailed,
    ConsistencyLevel,
    DriverException,
    OperationTimedOut,
    RequestValidationException,
    Unauthorized,
    Unavailable,
    UnresolvableContactPoints,
)
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionBusy, ConnectionException
from cassandra.pool import NoConnectionsAvailable
from cassandra.protocol import ErrorMessage, IsBootstrappingErrorMessage, OverloadedErrorMessage

from pannier_sidecar.network.reasons import reason
from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError, unanswered

from .frames import ProtocolViolationError

if TYPE_CHECKING:
    from .settings import CassandraSettings

_NOT_NOW: Final = {
    NoConnectionsAvailable: "no connection is free",
    ConnectionBusy: "no connection is free",
    IsBootstrappingErrorMessage: "it is starting up",
    OverloadedErrorMessage: "it is overloaded",
}
_NOT_DONE: Final = tuple(_NOT_NOW)
_HINTED_HANDOFF: Final = "hints"
"""A word in the message of a node that has too many hints. It may notice that after the write was decided."""
_TOO_LARGE: Final = ("too large", "exceeds allowed maximum")
CLIENT_ERRORS: Final = (*_NOT_DONE, NoHostAvailable, DriverException, ConnectionException, ErrorMessage, OSError)
"""What the driver raises."""


def translate(error: Exception, settings: CassandraSettings, *, is_write: bool, level: int | None = None) -> StoreError:
    """Return the error to raise for an error of a call, which had the consistency level `level`."""
    where = settings.where
    if isinstance(error, NoHostAvailable):
        return _unreached(error, where)
    if isinstance(error, UnresolvableContactPoints):
        return StoreUnavailableError(f"{where} can't be reached: no host has an address; check hosts")
    if refusal := _refusal(error, settings):
        return StoreRefusedError(f"{where} {refusal}")
    if isinstance(error, _NOT_DONE) and _HINTED_HANDOFF not in str(error):
        return StoreUnavailableError(f"{where} can't be reached: {_not_now(error)}")
    if isinstance(error, Unavailable):
        # After the decision to write, replicas may be missing that acknowledge it: the error has the write's own level.
        # If replicas are missing for the decision, it has a serial level or, in newer versions, a quorum.
        is_decided = is_write and not ConsistencyLevel.is_serial(error.consistency) and error.consistency == level
        missing = f"{where} has too few replicas for this consistency{_counted(error)}"
        return unanswered(missing, may_have_changed=is_decided)
    if isinstance(error, OperationTimedOut):
        return unanswered(f"{where} did not answer within {settings.timeout:g} s", may_have_changed=is_write)
    if isinstance(error, ProtocolViolationError):
        return unanswered(f"{where} sent an answer that makes no sense", may_have_changed=is_write)
    return unanswered(f"{where} failed ({type(error).__name__})", may_have_changed=is_write)


def _unreached(error: NoHostAvailable, where: str) -> StoreError:
    """Return why no host could be used; of several reasons, one that a setting can mend."""
    reasons: list[Exception] = list(error.errors.values())
    for each in reasons:
        if isinstance(each, AuthenticationFailed):
            return StoreRefusedError(f"{where} refused the login; check username and password")
        if "[SSL" in str(each):  # the driver keeps only the text of such an error
            advice = "check caCert, clientCert, and that the host's certificate is for its IP address"
            return StoreRefusedError(f"{where} can't be spoken to over TLS{_tls(str(each))}; {advice}")
    return StoreUnavailableError(f"{where} can't be reached: {_why(reasons[0]) if reasons else 'no server is up'}")


def _refusal(error: Exception, settings: CassandraSettings) -> str | None:
    if isinstance(error, Unauthorized):
        return (
            "refused the call, which this role may not make; have an administrator run: "
            f"GRANT SELECT ON {settings.shown_name} TO ...; GRANT MODIFY ON {settings.shown_name} TO ...; "
            "with the role that is username"
        )
    if any(words in str(error) for words in _TOO_LARGE):
        limit = re.search(r"maximum of (\d+)", str(error))
        allowed = f" (allowed maximum of {limit[1]} bytes)" if limit else ""
        return f"refused the value, which is too large{allowed}; split it over several keys, or use another store"
    return f"refused the call ({type(error).__name__})" if isinstance(error, RequestValidationException) else None


def _not_now(error: Exception) -> str:
    return next(words for kind, words in _NOT_NOW.items() if isinstance(error, kind))


def _why(error: Exception) -> str:
    if isinstance(error, OperationTimedOut) or "timed out" in str(error).lower():
        return "it does not answer (Timed out)"
    return reason(error) if isinstance(error, OSError) else f"the connection failed ({type(error).__name__})"


def _tls(text: str) -> str:
    return ", because its certificate is not accepted" if "CERTIFICATE_VERIFY_FAILED" in text else ""


def _counted(error: Unavailable) -> str:
    required, alive = error.required_replicas, error.alive_replicas
    return f": {required} are asked for, {alive} are there" if isinstance(required, int) else ""
