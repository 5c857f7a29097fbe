"""The component's settings, typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pannier_crds.addresses.hosts import host_port
from pannier_crds.given_settings import GivenSettings
from pannier_crds.secret import Secret, shown
from pannier_sidecar.network.fields import read_field, shown_addresses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting


_DATABASE: Final = "projects/{}/instances/{}/databases/{}"


@dataclass(frozen=True)
class SpannerSettings:
    """Where the table is, and how it is reached."""

    database: str
    """`projects/P/instances/I/databases/D`."""
    table: str
    credentials: Secret | None
    """Key of a service account, JSON text; None: the application default credentials."""
    endpoint: str
    emulator: str | None
    """host:port of an emulator; it is used instead of the endpoint, without TLS and credentials."""
    timeout: float
    """Seconds that a call may take."""
    max_sessions: int

    where: str
    """The server, for messages."""
    shown_database: str
    shown_table: str
    """Database and table, for messages."""

    @property
    def address(self) -> str:
        return self.emulator or self.endpoint


def read_settings(settings: Mapping[str, Setting]) -> SpannerSettings:
    """Return the settings. Raises StoreRefusedError for an invalid address."""
    given = GivenSettings("state.gcp.spanner", settings)
    names = ("projectId", "instanceId", "databaseId")
    field = "emulatorHost" if given["emulatorHost"] else "endpoint"
    address = read_field(field, given[field], host_port)
    return SpannerSettings(
        database=_DATABASE.format(*map(given.text, names)),
        table=given.text("tableName"),
        credentials=given.secret("credentialsJSON") or None,
        endpoint=given.text("endpoint"),
        emulator=given.text("emulatorHost") or None,
        timeout=given.number("timeout"),
        max_sessions=given.whole_number("maxSessions"),
        where=f"Spanner at {shown_addresses(field, given[field], (address,))}",
        shown_database=_DATABASE.format(*(shown(given[name], name) for name in names)),
        shown_table=shown(given["tableName"], "tableName"),
    )
