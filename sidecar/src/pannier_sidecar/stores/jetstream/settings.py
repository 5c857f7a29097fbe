"""The component's metadata, with the checks that only this store can make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from pannier_crds.addresses import nats
from pannier_crds.given_settings import GivenSettings
from pannier_crds.secret import Secret
from pannier_sidecar.network.fields import read_field, shown_addresses
from pannier_sidecar.network.tls import Encryption
from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting


class JetStreamSettings(Struct, frozen=True):
    """The component's settings, with defaults."""

    servers: tuple[nats.NatsServer, ...]
    where: str
    """Names the servers in messages, and shows nothing that came from a secret."""
    bucket: str
    name: str
    """What the servers call the connection."""
    jwt: Secret
    """Empty: there is none."""
    seed: Secret
    encryption: Encryption | None
    """None: the system's authorities, if the server wants TLS."""
    timeout: float
    """Seconds that a call may take."""

    def __repr__(self) -> str:
        return f"JetStreamSettings({self.where!r}, ...)"  # settings may find their way into a log


def read_settings(settings: Mapping[str, Setting]) -> JetStreamSettings:
    """Return the settings. Raises StoreRefusedError, which names the field and says what to write."""
    given = GivenSettings("state.jetstream", settings)
    servers = read_field("natsURL", given["natsURL"], nats.server_list)
    jwt, seed = given.text("jwt").strip(), given.text("seedKey").strip()
    if bool(jwt) is not bool(seed):
        raise StoreRefusedError(f"{'seedKey' if jwt else 'jwt'} is missing: a login by JWT needs both jwt and seedKey")
    if seed:
        _check_seed(seed)
    encryption = Encryption.read(given)
    needs_context = servers[0].needs_tls or encryption != Encryption()
    return JetStreamSettings(
        servers=servers,
        where=f"NATS at {_shown(given, servers)}",
        bucket=given.text("bucket"),
        name=given.text("name"),
        jwt=Secret(jwt),
        seed=Secret(seed),
        encryption=encryption if needs_context else None,
        timeout=given.number("timeout"),
    )


def _shown(given: GivenSettings, servers: tuple[nats.NatsServer, ...]) -> str:
    """Return the addresses for messages, unless one is a word without scheme and port, which may be a password."""
    if all("://" in part or ":" in part for part in given.text("natsURL").split(",")):
        return shown_addresses("natsURL", given["natsURL"], (each.address for each in servers))
    return "the address in natsURL"


def _check_seed(seed: str) -> None:
    import nkeys  # imported here, because few components log in by JWT

    try:
        nkeys.from_seed(bytearray(seed.encode())).wipe()
    except Exception as error:  # the library raises errors of many kinds
        raise StoreRefusedError("seedKey is no seed of an nkey; write the line that begins with SU") from error
