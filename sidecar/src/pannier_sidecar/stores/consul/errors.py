"""What Consul's error answers mean, and how messages name it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_sidecar.network.http_client import Wording
from pannier_sidecar.state.errors import StoreError, StoreRefusedError, unanswered

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


def wording(settings: ConsulSettings) -> Wording:
    """Return what messages say about Consul."""
    return Wording(
        f"Consul at {settings.where}",
        "check httpAddr and scheme",
        "let caCert name the authority that signed its certificate, or check httpAddr and scheme",
    )


def try_later(settings: ConsulSettings, status: int, text: str, *, is_write: bool) -> StoreError:
    """Return what an answer means that says that Consul cannot do it now."""
    known = next((ours for theirs, ours in _NOT_DONE.items() if theirs in text), "")
    message = f"Consul at {settings.where} cannot do it now ({known or status})"
    return unanswered(message, may_have_changed=is_write and not known)


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
