"""The component's metadata, checked for what only this store can judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from pannier_sidecar.network.tls import Encryption
from pannier_sidecar.state.errors import StoreRefused

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
    token: str = ""
    prefix: str = "dapr/"
    """What names of keys begin with in Consul."""
    timeout: float = 10.0
    """Seconds that a call may take."""
    cleanup_interval: float = 3600.0
    """Seconds between looks for keys that have expired; 0: only those that are read are removed."""
    encryption: Encryption | None = None

    def __repr__(self) -> str:
        return f"ConsulSettings({self.url!r}, ...)"  # settings may find their way into a log

    @classmethod
    def read(cls, settings: Mapping[str, Setting]) -> ConsulSettings:
        """Return the settings. Raises StoreRefused naming the field, its value and what to write."""
        path = _text(settings, "keyPrefixPath").strip("/") or "dapr"
        url = _url(_text(settings, "httpAddr") or "127.0.0.1:8500", _text(settings, "scheme") or "http")
        return cls(
            url=url,
            where=url,
            datacenter=_text(settings, "datacenter"),
            token=_text(settings, "aclToken"),
            prefix=f"{path}/",
            timeout=float(settings.get("timeout") or 0) or 10.0,
            cleanup_interval=max(0.0, float(settings.get("cleanupInterval") or 0)),
            encryption=Encryption.read(settings) if url.startswith("https:") else None,
        )


def _text(settings: Mapping[str, Setting], name: str) -> str:
    value = settings.get(name)
    return "" if value is None else str(value)


def _url(address: str, scheme: str) -> str:
    """Return where the agent is: `https://` in the address goes before the scheme, as in Consul's own client."""
    given, separator, rest = address.rpartition("://")
    host, _, port = rest.rstrip("/").rpartition(":")
    if given not in ("", "http", "https") or "/" in host or not host or not (port.isascii() and port.isdecimal()):
        raise StoreRefused(f"httpAddr {address!r} is no address; write host:port, like 127.0.0.1:8500")
    return f"{'https' if 'https' in (given, scheme) else 'http'}://{host}:{port}"
