"""Translates Consul's errors, and those of the connection to it, into the errors of stores."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

import aiohttp

from pannier_sidecar.network.reasons import reason
from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError, unanswered

if TYPE_CHECKING:
    from .settings import ConsulSettings


_REFUSED: Final = {
    "Permission denied": "Permission denied",
    "ACL not found": "ACL not found",
    "too large": "the value is too large",
}
_NOT_DONE: Final = {
    "No cluster leader": "No cluster leader",
    "No path to datacenter": "No path to datacenter; check datacenter",
    "rate limit exceeded": "rate limit exceeded",
}
"""Texts in Consul's answers that mean that it has done nothing, and our words for them."""


class TryLaterError(Exception):
    """Consul cannot do it now."""

    def __init__(self, settings: ConsulSettings, status: int, text: str):
        known = next((ours for theirs, ours in _NOT_DONE.items() if theirs in text), "")
        self._was_not_done = bool(known)
        super().__init__(f"Consul at {settings.where} cannot do it now ({known or status})")

    def as_store_error(self, *, is_write: bool) -> StoreError:
        return unanswered(str(self), may_have_changed=is_write and not self._was_not_done)


def is_loss(error: Exception) -> bool:
    """Return whether the connection ended before the answer came."""
    failed_to_connect = isinstance(error, aiohttp.ClientConnectorError)
    return isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError) and not failed_to_connect


def translate(error: Exception, settings: ConsulSettings, *, is_write: bool) -> StoreError:
    """Return the error to raise for an error of the connection, or for an answer that says to try later."""
    if isinstance(error, TryLaterError):
        return error.as_store_error(is_write=is_write)
    where = f"Consul at {settings.where}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | ssl.SSLError):
        advice = "let caCert name the authority that signed its certificate, or check httpAddr and scheme"
        return StoreRefusedError(f"no TLS with {where}: {_why(error)}; {advice}")
    if isinstance(error, aiohttp.ClientConnectorError):
        return StoreUnavailableError(f"{where} cannot be reached: {_why(error)}; check httpAddr and scheme")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return StoreUnavailableError(f"{where} could not be reached within {settings.timeout:g} s (timeout)")
    if isinstance(error, TimeoutError):
        message = f"{where} did not answer within {settings.timeout:g} s (timeout)"
    else:
        message = f"the connection to {where} was lost ({type(error).__name__})"
    return unanswered(message, may_have_changed=is_write)


def refusal(settings: ConsulSettings, status: int, text: str) -> StoreRefusedError:
    """Return what an error answer means; the message says what to change."""
    message = f"Consul at {settings.where} refused ({status})"
    if status == 413 or "too large" in text:
        return StoreRefusedError(
            f"{message}; what was sent is too large: store less, or raise kv_max_value_size in Consul"
        )
    if status == 403 or "ACL not found" in text:
        return StoreRefusedError(message + permission_advice(settings))
    if "HTTPS server" in text:
        return StoreRefusedError(f"{message}; set scheme: https")
    return StoreRefusedError(message)


def permission_advice(settings: ConsulSettings) -> str:
    return f'; let aclToken be one whose policy has: key_prefix "{settings.shown_prefix}" {{ policy = "write" }}'


def refusal_reason(what: str) -> str:
    """Return `: ` and why an operation of a transaction was refused; empty where that is not known."""
    known = next((ours for theirs, ours in _REFUSED.items() if theirs in what), "")
    return f": {known}" if known else ""


def _why(error: Exception) -> str:
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return reason(inner)
