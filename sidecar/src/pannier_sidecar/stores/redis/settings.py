"""The component's metadata, checked for what only this store can judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from pannier_sidecar.network.tls import Encryption
from pannier_sidecar.state.errors import StoreRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    Setting = str | int | float | bool | None

DEFAULT_PORT: Final = 6379


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Credentials(Struct, frozen=True):
    """Who we are; without a password nobody in particular."""

    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Credentials({self.username!r}, ...)"  # settings may find their way into a log


class RedisSettings(Struct, frozen=True):
    """What the component says, defaults filled in; the names are those of Dapr's `state.redis` metadata."""

    addresses: tuple[Address, ...]
    """redisHost: the server, or the Sentinels, or some nodes of the Cluster."""
    credentials: Credentials = Credentials()
    sentinel_credentials: Credentials = Credentials()
    database: int = 0
    is_cluster: bool = False
    master_name: str | None = None
    """sentinelMasterName; None: there are no Sentinels."""
    encryption: Encryption | None = None
    dial_timeout: float = 5.0
    """Seconds to connect and sign in, and that a call waits for a connection."""
    read_timeout: float = 3.0
    """Seconds without a sign of life from a server that owes an answer, after which it counts as gone."""
    write_timeout: float = 3.0
    """Seconds that a call waits for room on a connection whose server does not read."""
    max_retries: int = 3
    """How often a call that may be repeated is, after its connection was lost."""
    min_pause: float = 0.008
    """Seconds that the pauses between attempts to connect start from; they double."""
    max_pause: float = 2.0
    """Seconds that they do not exceed."""

    @classmethod
    def read(cls, settings: Mapping[str, Setting]) -> RedisSettings:
        """Return the settings. Raises StoreRefused naming the field, its value and what to write."""
        by_sentinel = settings.get("failover") is True
        return cls(
            addresses=_addresses(settings),
            credentials=_credentials(settings, "redis"),
            sentinel_credentials=_credentials(settings, "sentinel"),
            database=int(settings.get("redisDB") or 0),
            is_cluster=settings.get("redisType") == "cluster" and not by_sentinel,
            master_name=_master_name(settings) if by_sentinel else None,
            encryption=Encryption.read(settings) if settings.get("enableTLS") is True else None,
            dial_timeout=_seconds(settings, "dialTimeout", 5.0),
            read_timeout=_seconds(settings, "readTimeout", 3.0),
            write_timeout=_seconds(settings, "writeTimeout", _seconds(settings, "readTimeout", 3.0)),
            max_retries=_retries(settings),
            min_pause=_seconds(settings, "redisMinRetryInterval", 0.008),
            max_pause=_seconds(settings, "redisMaxRetryInterval", 2.0),
        )


def _text(settings: Mapping[str, Setting], name: str) -> str:
    value = settings.get(name)
    return "" if value is None else str(value)


def _seconds(settings: Mapping[str, Setting], name: str, default: float) -> float:
    """Return a duration; 0 and less, which for Dapr mean default and never, are the default: no call may hang."""
    seconds = float(settings.get(name) or 0)
    return seconds if seconds > 0 else default


def _retries(settings: Mapping[str, Setting]) -> int:
    retries = settings.get("redisMaxRetries")
    return 3 if retries is None else max(0, int(retries))


def _credentials(settings: Mapping[str, Setting], whose: str) -> Credentials:
    return Credentials(_text(settings, f"{whose}Username"), _text(settings, f"{whose}Password"))


def _master_name(settings: Mapping[str, Setting]) -> str:
    name = _text(settings, "sentinelMasterName")
    if not name:
        raise StoreRefused(
            "failover is true but sentinelMasterName is empty; write the name that the Sentinels monitor, like mymaster"
        )
    return name


def _addresses(settings: Mapping[str, Setting]) -> tuple[Address, ...]:
    hosts = [host for part in _text(settings, "redisHost").split(",") if (host := part.strip())]
    if not hosts:
        raise StoreRefused("redisHost is empty; write host or host:port, several separated by commas")
    port = settings.get("redisPort")
    return tuple(_address(host, None if port is None else int(port)) for host in hosts)


def _address(text: str, default_port: int | None) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or "]" in port or ":" in host and not host.startswith("["):  # no port: a name, [v6] or bare v6
        return Address(text.strip("[]"), default_port or DEFAULT_PORT)
    if not port.isdecimal() or not 0 < int(port) < 65536 or not host:
        raise StoreRefused(f"redisHost {text!r} is no address; write host or host:port with a port from 1 to 65535")
    if default_port not in (None, int(port)):
        raise StoreRefused(f"redisHost says port {port} and redisPort says {default_port}; take one of them out")
    return Address(host.strip("[]"), int(port))
