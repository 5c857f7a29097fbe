"""The component's settings, typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pannier_crds.addresses.hosts import host_port
from pannier_crds.secret import Secret, number, reveal, shown
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
    table: str = "state"
    credentials: Secret | None = None
    """Key of a service account, JSON text; None: the application default credentials."""
    endpoint: str = "spanner.googleapis.com:443"
    emulator: str | None = None
    """host:port of an emulator; it is used instead of the endpoint, without TLS and credentials."""
    timeout: float = 10.0
    """Seconds that a call may take."""
    max_sessions: int = 100

    where: str = "Spanner"
    """The server, for messages."""
    shown_database: str = ""
    shown_table: str = "state"
    """Database and table, for messages."""

    @property
    def address(self) -> str:
        return self.emulator or self.endpoint


def read_settings(given: Mapping[str, Setting]) -> SpannerSettings:
    """Read the settings under their canonical names."""
    names = ("projectId", "instanceId", "databaseId")
    credentials, table = given.get("credentialsJSON"), given.get("tableName") or SpannerSettings.table
    field = "emulatorHost" if given.get("emulatorHost") else "endpoint"
    address = given.get(field) or SpannerSettings.endpoint
    found = read_field(field, address, host_port)
    return SpannerSettings(
        _DATABASE.format(*(reveal(given[name]) for name in names)),
        reveal(table),
        Secret(reveal(credentials)) if credentials else None,
        reveal(given.get("endpoint")) or SpannerSettings.endpoint,
        reveal(given.get("emulatorHost")) or None,
        number(given.get("timeout"), SpannerSettings.timeout),
        int(number(given.get("maxSessions"), SpannerSettings.max_sessions)),
        f"Spanner at {shown_addresses(field, address, (found,))}",
        _DATABASE.format(*(shown(given[name], name) for name in names)),
        shown(table, "tableName"),
    )
