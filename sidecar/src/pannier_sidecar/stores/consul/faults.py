"""What Consul's errors, and those of the connection to it, mean for a call."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

import aiohttp

from pannier_sidecar.state.errors import OutcomeUnknown, StoreFault, StoreRefused, StoreUnavailable

if TYPE_CHECKING:
    from .settings import ConsulSettings


class NotNow(Exception):
    """Consul cannot do it now."""

    def __init__(self, url: str, text: str):
        super().__init__(f"Consul at {url} cannot do it now: {text}")

    def fault(self, *, is_write: bool) -> StoreFault:
        told = str(self)
        was_not_done = any(words in told for words in _NOT_DONE)
        return OutcomeUnknown(told) if is_write and not was_not_done else StoreUnavailable(told)


_NOT_DONE: Final = ("No cluster leader", "No path to datacenter", "rate limit exceeded")


def is_loss(error: Exception) -> bool:
    """Return whether the connection ended before the answer came."""
    is_of_connecting = isinstance(error, aiohttp.ClientConnectorError)
    return isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError) and not is_of_connecting


def of_connection(error: Exception, settings: ConsulSettings, *, is_write: bool) -> StoreFault:
    """Return the fault that an error of the connection means."""
    where = f"Consul at {settings.url}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | ssl.SSLError):
        advice = "let caCert name the authority that signed its certificate, or check httpAddr and scheme"
        return StoreRefused(f"no TLS with {where}: {error}; {advice}")
    if isinstance(error, aiohttp.ClientConnectorError):
        return StoreUnavailable(f"{where} cannot be reached: {error.strerror or error}; check httpAddr and scheme")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return StoreUnavailable(f"{where} could not be reached within {settings.timeout:g} s (timeout)")
    if isinstance(error, TimeoutError):
        told = f"{where} did not answer within {settings.timeout:g} s (timeout)"
    else:
        told = f"the connection to {where} was lost: {error or type(error).__name__}"
    return OutcomeUnknown(told) if is_write else StoreUnavailable(told)


def refusal(settings: ConsulSettings, status: int, text: str) -> StoreRefused:
    """Return the fault that an error answer means, with Consul's words and what to change."""
    told = f"Consul at {settings.url} refused ({status}): {text}"
    if status == 413 or "too large" in text:
        return StoreRefused(f"{told}; what was sent is too large: store less, or raise kv_max_value_size in Consul")
    if status == 403 or "ACL not found" in text:
        return StoreRefused(told + permission_advice(settings))
    if "HTTPS server" in text:
        return StoreRefused(f"{told}; set scheme: https")
    return StoreRefused(told)


def permission_advice(settings: ConsulSettings) -> str:
    return f'; let aclToken be one whose policy has: key_prefix "{settings.prefix}" {{ policy = "write" }}'
