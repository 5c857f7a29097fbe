"""The component's metadata, with the checks that only this store can make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from pannier_crds.addresses.hosts import bracketed, socket_or_host_list
from pannier_crds.given_settings import GivenSettings
from pannier_crds.secret import Secret, is_hidden
from pannier_sidecar.network.fields import read_field
from pannier_sidecar.network.tls import Encryption
from pannier_sidecar.state.errors import StoreRefusedError

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
        return f"{bracketed(self.host)}:{self.port}"


class HiddenAddress(Address):
    """An address that came from a secret or the environment, so that messages do not show it."""

    def __str__(self) -> str:
        return "the address in hosts"


class MemcachedSettings(Struct, frozen=True):
    """The component's settings, with defaults."""

    addresses: tuple[Address, ...]
    """The servers in the given order: the order decides which server has which key."""
    timeout: float
    """Seconds that connecting and signing in may take, and that a server may be silent while it owes an answer."""
    username: str
    password: Secret
    encryption: Encryption | None

    def __repr__(self) -> str:
        return f"MemcachedSettings({self.addresses!r}, ...)"  # settings may find their way into a log


def read_settings(settings: Mapping[str, Setting]) -> MemcachedSettings:
    """Return the settings. Raises StoreRefusedError, which names the field and says what to write."""
    given = GivenSettings("state.memcached", settings)
    if not given.text("hosts").strip(" ,"):
        raise StoreRefusedError("hosts is empty; write host or host:port, several separated by commas")
    return MemcachedSettings(
        addresses=_addresses(given["hosts"]),
        timeout=given.number("timeout"),
        username=given.text("username"),
        password=given.secret("password"),
        encryption=Encryption.read(given) if given.is_on("enableTLS") else None,
    )


def _addresses(hosts: Setting) -> tuple[Address, ...]:
    kind = HiddenAddress if is_hidden(hosts) else Address
    return tuple(
        kind(each, None) if isinstance(each, str) else kind(each.host, each.port or DEFAULT_PORT)
        for each in read_field("hosts", hosts, socket_or_host_list)
    )
