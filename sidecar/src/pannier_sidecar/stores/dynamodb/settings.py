"""What a component says about its table, read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting


@dataclass(frozen=True, slots=True)
class DynamoDBSettings:
    """The component's settings; times in seconds."""

    table: str
    partition_key: str
    ttl_attribute: str
    region: str | None
    endpoint: str | None
    access_key: str | None
    secret_key: str | None
    session_token: str | None
    timeout: float
    """Longest time that a call may take, further attempts included."""
    max_connections: int


def read(settings: Mapping[str, Setting]) -> DynamoDBSettings:
    """Return the settings, with the catalogue's defaults."""
    return DynamoDBSettings(
        table=str(settings["table"]),
        partition_key=_text(settings, "partitionKey") or "key",
        # Dapr has no default and drops the TTL of every write without it, which is never done here.
        ttl_attribute=_text(settings, "ttlAttributeName") or "expiresAt",
        region=_text(settings, "region"),
        endpoint=_text(settings, "endpoint"),
        access_key=_text(settings, "accessKey"),
        secret_key=_text(settings, "secretKey"),
        session_token=_text(settings, "sessionToken"),
        timeout=float(settings.get("timeout") or 10.0),
        max_connections=int(settings.get("maxConnections") or 50),
    )


def _text(settings: Mapping[str, Setting], name: str) -> str | None:
    value = settings.get(name)
    return str(value) if value else None
