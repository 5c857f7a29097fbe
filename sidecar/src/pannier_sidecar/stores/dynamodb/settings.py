"""The store's settings, read from the component's metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pannier_crds.given_settings import GivenSettings
from pannier_crds.secret import shown
from pannier_sidecar.clouds.aws import AwsProfile, read_profile, where

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting


@dataclass(frozen=True, slots=True)
class DynamoDBSettings:
    """The component's settings; times in seconds."""

    table: str
    partition_key: str
    ttl_attribute: str
    profile: AwsProfile
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
        profile=read_profile(given),
        timeout=given.number("timeout"),
        max_connections=given.whole_number("maxConnections"),
        where=where("DynamoDB", given),
        shown_table=shown(given["table"], "table"),
        shown_key=shown(given["partitionKey"], "partitionKey"),
    )
