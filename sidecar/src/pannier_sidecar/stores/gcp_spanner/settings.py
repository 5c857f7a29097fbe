"""The component's settings, typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting


@dataclass(frozen=True)
class SpannerSettings:
    """Where the table is, and how it is reached."""

    database: str
    """`projects/P/instances/I/databases/D`."""
    table: str = "state"
    credentials: str | None = field(default=None, repr=False)
    """Key of a service account, JSON text; None: the application default credentials."""
    endpoint: str = "spanner.googleapis.com:443"
    emulator: str | None = None
    """host:port of an emulator; it is used instead of the endpoint, without TLS and credentials."""
    timeout: float = 10.0
    """Seconds that a call may take."""
    max_sessions: int = 100

    @property
    def address(self) -> str:
        return self.emulator or self.endpoint


def read(given: Mapping[str, Setting]) -> SpannerSettings:
    """Read the settings under their canonical names."""
    names = {name: str(given[name]) for name in ("projectId", "instanceId", "databaseId")}
    credentials, emulator = given.get("credentialsJSON"), given.get("emulatorHost")
    return SpannerSettings(
        "projects/{projectId}/instances/{instanceId}/databases/{databaseId}".format(**names),
        str(given.get("tableName") or SpannerSettings.table),
        str(credentials) if credentials else None,
        str(given.get("endpoint") or SpannerSettings.endpoint),
        str(emulator) if emulator else None,
        float(given.get("timeout") or SpannerSettings.timeout),
        int(given.get("maxSessions") or SpannerSettings.max_sessions),
    )
