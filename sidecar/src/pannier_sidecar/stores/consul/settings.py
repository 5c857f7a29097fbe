"""The component's metadata, with the checks that only this store can make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from pannier_crds.addresses.hosts import HostPort, agent_url
from pannier_crds.given_settings import GivenSettings
from pannier_crds.secret import Secret, is_hidden
from pannier_sidecar.network.fields import read_field, shown_addresses
from pannier_sidecar.network.tls import Encryption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting


class ConsulSettings(Struct, frozen=True):
    """The component's settings, with defaults."""

    url: str
    """Scheme, host and port."""
    where: str
    """The same for messages."""
    datacenter: str
    """Empty: the agent's datacenter."""
    token: Secret
    prefix: str
    """The beginning of every name in Consul."""
    timeout: float
    """Seconds that a call may take."""
    cleanup_interval: float
    """Seconds between sweeps for expired keys; 0: they are removed only when they are read."""
    encryption: Encryption | None
    shown_prefix: str
    """The prefix for messages."""

    def __repr__(self) -> str:
        return f"ConsulSettings({self.where!r}, ...)"  # settings may find their way into a log


def read_settings(settings: Mapping[str, Setting]) -> ConsulSettings:
    """Return the settings. Raises StoreRefusedError, which names the field and says what to write."""
    given = GivenSettings("state.hashicorp.consul", settings)
    path = given.text("keyPrefixPath").strip("/")
    url = _url(given)
    return ConsulSettings(
        url=url,
        where=shown_addresses("httpAddr", given["httpAddr"], (url,)),
        shown_prefix="PREFIX/" if is_hidden(given["keyPrefixPath"]) else f"{path}/",
        datacenter=given.text("datacenter"),
        token=given.secret("aclToken"),
        prefix=f"{path}/",
        timeout=given.number("timeout"),
        cleanup_interval=max(0.0, given.number("cleanupInterval")),
        encryption=Encryption.read(given) if url.startswith("https:") else None,
    )


def _url(given: GivenSettings) -> str:
    """Return the agent's URL. `https://` in the address wins over the field `scheme`, as in Consul's own client."""
    scheme, (host, port) = read_field("httpAddr", given["httpAddr"], agent_url)
    return f"{'https' if 'https' in (scheme, given['scheme']) else 'http'}://{HostPort(host, port)}"
