"""The component's metadata, checked for what only this store can judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from pannier_crds.addresses.hosts import host_list
from pannier_crds.catalogue.redis import MAX_PAUSE_S, MIN_PAUSE_S
from pannier_crds.secret import Secret, is_hidden, number, reveal
from pannier_sidecar.network.fields import read_field
from pannier_sidecar.network.tls import Encryption
from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting

DEFAULT_PORT: Final = 6379


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class HiddenAddress(Address):
    """One that came from a secret or the environment."""

    def __str__(self) -> str:
        return "the address in redisHost"


class Credentials(Struct, frozen=True):
    """The login; without a password none is sent."""

    username: str = ""
    password: Secret = Secret("")  # never changes

    def __repr__(self) -> str:
        return "Credentials(...)"  # settings may find their way into a log


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
    min_pause: float = MIN_PAUSE_S
    """Seconds that the pauses between attempts to connect start from; they double."""
    max_pause: float = MAX_PAUSE_S
    """Seconds that they do not exceed."""


def read_settings(settings: Mapping[str, Setting]) -> RedisSettings:
    """Return the settings. Raises StoreRefusedError naming the field, its value and what to write."""
    by_sentinel = settings.get("failover") is True
    return RedisSettings(
        addresses=_addresses(settings),
        credentials=_credentials(settings, "redis"),
        sentinel_credentials=_credentials(settings, "sentinel"),
        database=int(number(settings.get("redisDB"), 0)),
        is_cluster=settings.get("redisType") == "cluster" and not by_sentinel,
        master_name=_master_name(settings) if by_sentinel else None,
        encryption=Encryption.read(settings) if settings.get("enableTLS") is True else None,
        dial_timeout=_seconds(settings, "dialTimeout", 5.0),
        read_timeout=_seconds(settings, "readTimeout", 3.0),
        write_timeout=_seconds(settings, "writeTimeout", _seconds(settings, "readTimeout", 3.0)),
        max_retries=_retries(settings),
        min_pause=_seconds(settings, "redisMinRetryInterval", MIN_PAUSE_S),
        max_pause=_seconds(settings, "redisMaxRetryInterval", MAX_PAUSE_S),
    )


def _text(settings: Mapping[str, Setting], name: str) -> str:
    return reveal(settings.get(name))


def _seconds(settings: Mapping[str, Setting], name: str, default: float) -> float:
    """Return a duration; 0 and less, which for Dapr mean default and never, are the default: no call may hang."""
    seconds = number(settings.get(name), 0)
    return seconds if seconds > 0 else default


def _retries(settings: Mapping[str, Setting]) -> int:
    retries = settings.get("redisMaxRetries")
    return 3 if retries is None else max(0, int(number(retries, 0)))


def _credentials(settings: Mapping[str, Setting], whose: str) -> Credentials:
    return Credentials(_text(settings, f"{whose}Username"), Secret(_text(settings, f"{whose}Password")))


def _master_name(settings: Mapping[str, Setting]) -> str:
    name = _text(settings, "sentinelMasterName")
    if not name:
        raise StoreRefusedError(
            "failover is true but sentinelMasterName is empty; write the name that the Sentinels monitor, like mymaster"
        )
    return name


def _addresses(settings: Mapping[str, Setting]) -> tuple[Address, ...]:
    given = settings.get("redisHost")
    if not reveal(given).strip(" ,"):
        raise StoreRefusedError("redisHost is empty; write host or host:port, several separated by commas")
    default = settings.get("redisPort")
    default_port = None if default is None else int(number(default, 0))
    kind = HiddenAddress if is_hidden(given) else Address
    found = []
    for host, port in read_field("redisHost", given, host_list):
        if default_port not in (None, port) and port is not None:
            raise StoreRefusedError(
                f"redisHost says port {port} and redisPort says {default_port}; take one of them out"
            )
        found.append(kind(host, port or default_port or DEFAULT_PORT))
    return tuple(found)
