"""The component's metadata, checked for what only this store can judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from pannier_crds.addresses.hosts import HostPort, agent_url
from pannier_crds.secret import Secret, is_hidden, number, reveal
from pannier_sidecar.network.fields import read_field, shown_addresses
from pannier_sidecar.network.tls import Encryption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting


class ConsulSettings(Struct, frozen=True):
    """What the component says, defaults filled in."""

    url: str
    """Scheme, host and port."""
    where: str = ""
    """The same for messages."""
    datacenter: str = ""
    """Empty: that of the agent."""
    token: Secret = Secret("")  # never changes
    prefix: str = "dapr/"
    """What names of keys begin with in Consul."""
    timeout: float = 10.0
    """Seconds that a call may take."""
    cleanup_interval: float = 3600.0
    """Seconds between sweeps for expired keys; 0: they are removed only when they are read."""
    encryption: Encryption | None = None
    shown_prefix: str = "dapr/"
    """The prefix for messages."""

    def __repr__(self) -> str:
        return f"ConsulSettings({self.where!r}, ...)"  # settings may find their way into a log


def read_settings(settings: Mapping[str, Setting]) -> ConsulSettings:
    """Return the settings. Raises StoreRefusedError naming the field, its value and what to write."""
    path = _text(settings, "keyPrefixPath").strip("/") or "dapr"
    address = settings.get("httpAddr") or "127.0.0.1:8500"
    url = _url(address, _text(settings, "scheme") or "http")
    return ConsulSettings(
        url=url,
        where=shown_addresses("httpAddr", address, (url,)),
        shown_prefix="PREFIX/" if is_hidden(settings.get("keyPrefixPath")) else f"{path}/",
        datacenter=_text(settings, "datacenter"),
        token=Secret(_text(settings, "aclToken")),
        prefix=f"{path}/",
        timeout=number(settings.get("timeout"), 10.0),
        cleanup_interval=max(0.0, number(settings.get("cleanupInterval"), 0)),
        encryption=Encryption.read(settings) if url.startswith("https:") else None,
    )


def _text(settings: Mapping[str, Setting], name: str) -> str:
    return reveal(settings.get(name))


def _url(address: Setting, scheme: str) -> str:
    """Return where the agent is: `https://` in the address goes before the scheme, as in Consul's own client."""
    given, (host, port) = read_field("httpAddr", address, agent_url)
    return f"{'https' if 'https' in (given, scheme) else 'http'}://{HostPort(host, port)}"
