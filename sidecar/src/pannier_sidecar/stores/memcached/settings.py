"""The component's metadata, checked for what only this store can judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from pannier_sidecar.network.tls import Encryption
from pannier_sidecar.state.errors import StoreRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting

DEFAULT_PORT: Final = 11211


class Address(NamedTuple):
    """Where a server listens: a host and its port, or the path of a Unix socket."""

    host: str
    port: int | None

    def __str__(self) -> str:
        if self.port is None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class MemcachedSettings(Struct, frozen=True):
    """What the component says, defaults filled in."""

    addresses: tuple[Address, ...]
    """In the order given, which decides who has which key."""
    timeout: float = 1.0
    """Seconds to connect and sign in, and without a sign of life from a server that owes an answer."""
    username: str = ""
    password: str = ""
    encryption: Encryption | None = None

    def __repr__(self) -> str:
        return f"MemcachedSettings({self.addresses!r}, ...)"  # settings may find their way into a log

    @classmethod
    def read(cls, settings: Mapping[str, Setting]) -> MemcachedSettings:
        """Return the settings. Raises StoreRefused naming the field, its value and what to write."""
        hosts = [host for part in _text(settings, "hosts").split(",") if (host := part.strip())]
        if not hosts:
            raise StoreRefused("hosts is empty; write host or host:port, several separated by commas")
        return cls(
            addresses=tuple(map(_address, hosts)),
            timeout=float(settings.get("timeout") or 0) or 1.0,
            username=_text(settings, "username"),
            password=_text(settings, "password"),
            encryption=Encryption.read(settings) if settings.get("enableTLS") is True else None,
        )


def _text(settings: Mapping[str, Setting], name: str) -> str:
    value = settings.get(name)
    return "" if value is None else str(value)


def _address(text: str) -> Address:
    if text.startswith("/"):
        return Address(text, None)
    host, colon, port = text.rpartition(":")
    if not colon or "]" in port or (":" in host and not host.startswith("[")):  # no port: a name, [v6] or bare v6
        return Address(text.strip("[]"), DEFAULT_PORT)
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536) or not host:
        raise StoreRefused(f"{text!r} in hosts is no address; write host or host:port with a port from 1 to 65535")
    return Address(host.strip("[]"), int(port))
