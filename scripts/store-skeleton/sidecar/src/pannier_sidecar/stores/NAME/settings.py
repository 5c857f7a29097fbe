"""The store's settings, read from the component's metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from pannier_crds.addresses.hosts import host_port
from pannier_crds.given_settings import GivenSettings
from pannier_crds.secret import Secret
from pannier_sidecar.network.fields import read_field, shown_addresses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting

DEFAULT_PORT: Final = 1


class CLASSSettings(Struct, frozen=True):
    """The component's settings, with defaults."""

    host: str
    port: int
    where: str
    """Names the server in messages, and shows nothing that came from a secret."""
    timeout: float
    """Seconds that a call may take."""
    username: str
    password: Secret

    def __repr__(self) -> str:
        return f"CLASSSettings({self.where}, ...)"  # settings may find their way into a log


def read_settings(settings: Mapping[str, Setting]) -> CLASSSettings:
    """Return the settings. Raises StoreRefusedError with the field and what to write instead."""
    given = GivenSettings("TYPE", settings)
    address = read_field("host", given["host"], host_port)
    return CLASSSettings(
        host=address.host,
        port=address.port or DEFAULT_PORT,
        where=f"TITLE at {shown_addresses('host', given['host'], [address])}",
        timeout=given.number("timeout"),
        username=given.text("username"),
        password=given.secret("password"),
    )
