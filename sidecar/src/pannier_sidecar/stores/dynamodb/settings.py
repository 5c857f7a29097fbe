"""The store's settings, read from the component's metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pannier_crds.addresses.hosts import full_url
from pannier_crds.given_settings import GivenSettings
from pannier_crds.secret import Secret, shown
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
    """Seconds that a call may take, further attempts included."""
    max_connections: int
    where: str
    """The server, for messages."""
    shown_table: str
    shown_key: str
    """Table and partition key, for messages."""


def read_settings(settings: Mapping[str, Setting]) -> DynamoDBSettings:
    """Return the settings. Raises StoreRefusedError for an invalid endpoint."""
    given = GivenSettings("state.aws.dynamodb", settings)
    return DynamoDBSettings(
        table=given.text("table"),
        partition_key=given.text("partitionKey"),
        ttl_attribute=given.text("ttlAttributeName"),
        region=given.text("region") or None,
        endpoint=given.text("endpoint") or None,
        access_key=given.secret("accessKey") or None,
        secret_key=given.secret("secretKey") or None,
        session_token=given.secret("sessionToken") or None,
        timeout=given.number("timeout"),
        max_connections=given.whole_number("maxConnections"),
        where=_where(given),
        shown_table=shown(given["table"], "table"),
        shown_key=shown(given["partitionKey"], "partitionKey"),
    )


def _where(given: GivenSettings) -> str:
    endpoint = given["endpoint"]
    if not endpoint:
        return "DynamoDB"
    scheme, address = read_field("endpoint", endpoint, full_url)
    return f"DynamoDB at {shown_addresses('endpoint', endpoint, (f'{scheme}://{address}',))}"
