"""The component's metadata, read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pannier_crds.addresses.hosts import HostPort, http_url_list
from pannier_crds.given_settings import GivenSettings
from pannier_sidecar.network.fields import read_field, shown_addresses
from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_crds.secret import Secret
    from pannier_sidecar.state.store import Setting


@dataclass(frozen=True, slots=True)
class Encryption:
    """Certificates for TLS, as PEM; None: those of the system's authorities, or no client certificate."""

    authority: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class EtcdSettings:
    """The component's settings."""

    endpoints: tuple[str, ...]
    """`host:port` each."""
    prefix: str
    """The text before each stored key, slash included."""
    encryption: Encryption | None
    username: str
    password: Secret
    timeout: float
    """Seconds that a call may take."""
    max_operations: int
    """How many a transaction may have: the servers' max-txn-ops."""

    where: str
    """The endpoints, for messages."""


def read_settings(settings: Mapping[str, Setting]) -> EtcdSettings:
    """Return the settings. Raises StoreRefusedError naming the one that is wrong."""
    given = GivenSettings("state.etcd", settings)
    if not given.text("endpoints").strip(" ,"):
        raise StoreRefusedError("endpoints is empty; write host:port, several separated by commas")
    found = read_field("endpoints", given["endpoints"], http_url_list)
    addresses = tuple(str(HostPort(host, port)) for _, (host, port) in found)
    by_tls = given.is_on("tlsEnable") or any(scheme == "https" for scheme, _ in found)
    return EtcdSettings(
        endpoints=addresses,
        prefix=f"{given.text('keyPrefixPath')}/",
        encryption=_encryption(given) if by_tls else None,
        username=given.text("username"),
        password=given.secret("password"),
        timeout=given.number("timeout"),
        max_operations=given.whole_number("maxTxnOps"),
        where=f"etcd at {shown_addresses('endpoints', given['endpoints'], addresses)}",
    )


def _encryption(given: GivenSettings) -> Encryption:
    found = Encryption(_pem(given, "ca"), _pem(given, "cert"), _pem(given, "key"))
    if (found.certificate is None) is not (found.key is None):
        missing = "key" if found.key is None else "cert"
        raise StoreRefusedError(f"{missing} is missing: a client certificate needs both cert and key")
    return found


def _pem(given: GivenSettings, name: str) -> bytes | None:
    text = given.text(name)
    if not text or "-----BEGIN" in text:
        return text.encode() or None
    try:
        return Path(text).read_bytes()
    except (OSError, ValueError) as error:
        raise StoreRefusedError(f"{name} is neither PEM nor a file that can be read; write one of them") from error
