"""What a component says about its table, read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pannier_crds.addresses.hosts import full_url
from pannier_crds.secret import Secret, number, reveal, shown
from pannier_sidecar.network.fields import read_field, shown_addresses

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
    access_key: Secret | None
    secret_key: Secret | None
    session_token: Secret | None
    timeout: float
    """Longest time that a call may take, further attempts included."""
    max_connections: int
    where: str
    """The server, for messages."""
    shown_table: str
    shown_key: str
    """Table and partition key, for messages."""


def read_settings(settings: Mapping[str, Setting]) -> DynamoDBSettings:
    """Return the settings, with the catalogue's defaults."""
    return DynamoDBSettings(
        table=reveal(settings["table"]),
        partition_key=_text(settings, "partitionKey") or "key",
        # Dapr has no default and drops the TTL of every write without it, which is never done here.
        ttl_attribute=_text(settings, "ttlAttributeName") or "expiresAt",
        region=_text(settings, "region"),
        endpoint=_text(settings, "endpoint"),
        access_key=_secret(settings, "accessKey"),
        secret_key=_secret(settings, "secretKey"),
        session_token=_secret(settings, "sessionToken"),
        timeout=number(settings.get("timeout"), 10.0),
        max_connections=int(number(settings.get("maxConnections"), 50)),
        where=_where(settings),
        shown_table=shown(settings["table"], "table"),
        shown_key=shown(settings.get("partitionKey") or "key", "partitionKey"),
    )


def _text(settings: Mapping[str, Setting], name: str) -> str | None:
    return reveal(settings.get(name)) or None


def _secret(settings: Mapping[str, Setting], name: str) -> Secret | None:
    text = _text(settings, name)
    return Secret(text) if text else None


def _where(settings: Mapping[str, Setting]) -> str:
    endpoint = settings.get("endpoint")
    if not endpoint:
        return "DynamoDB"
    scheme, address = read_field("endpoint", endpoint, full_url)
    return f"DynamoDB at {shown_addresses('endpoint', endpoint, (f'{scheme}://{address}',))}"
