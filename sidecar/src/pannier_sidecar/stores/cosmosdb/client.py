"""The one client that all calls share: signed in, its container verified."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from azure.cosmos.aio import CosmosClient

from pannier_sidecar.network.connections import Connections
from pannier_sidecar.state.errors import NotSupportedError, StoreRefusedError

from .transport import MAX_CONNECTIONS, Transport

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from azure.cosmos.aio import ContainerProxy

    from .settings import CosmosDBSettings

logger = logging.getLogger(__name__)

PARTITION_PATH: Final = "/partitionKey"
ENOUGH_FOR_STRONG: Final = ("Strong", "BoundedStaleness", "Session")


@dataclass(frozen=True, slots=True)
class Client:
    """An open client and its container."""

    settings: CosmosDBSettings
    container: ContainerProxy
    connections: Connections
    default_ttl: int | None
    """The container's default TTL in seconds, -1 for none; None: its TTL is off, so that nothing expires."""
    consistency: str
    """The account's level, which a call can only relax."""

    def check_strong_reads(self) -> None:
        """Raise NotSupportedError if a read could miss what this sidecar has written."""
        if self.consistency not in ENOUGH_FOR_STRONG:
            raise NotSupportedError(
                f"the consistency of the account is {self.consistency}, which no call can strengthen; "
                "make it Session or Strong, or read without strong consistency"
            )


async def sign_in(settings: CosmosDBSettings, resources: AsyncExitStack) -> Client:
    """Open a client that lives until `resources` are closed. Raises the client's errors and StoreRefusedError."""
    connections = Connections(MAX_CONNECTIONS, settings.timeout / 2)
    resources.callback(connections.close)
    client = CosmosClient(
        settings.url,
        credential=await _credential(settings, resources),
        connection_timeout=settings.timeout,
        read_timeout=settings.timeout,
        retry_total=2,
        no_response_on_write=True,
        transport=Transport(connections),
        user_agent_suffix="pannier",
    )
    resources.push_async_callback(client.close)
    await client.__aenter__()
    account = await client._get_database_account()  # noqa: SLF001  # public only in the client without asyncio
    container = client.get_database_client(settings.database).get_container_client(settings.container)
    properties = await container.read()
    _check_partition_key(properties, settings)
    consistency = str((account.ConsistencyPolicy or {}).get("defaultConsistencyLevel"))
    found = Client(settings, container, connections, properties.get("defaultTtl"), consistency)
    _log_limits(found)
    return found


async def _credential(settings: CosmosDBSettings, resources: AsyncExitStack) -> Any:
    if settings.master_key:
        return settings.master_key.reveal()
    from pannier_sidecar.clouds.azure import open_credential  # few components sign in so

    return await open_credential(settings.profile, settings.timeout, resources)


def _check_partition_key(properties: dict[str, Any], settings: CosmosDBSettings) -> None:
    paths = (properties.get("partitionKey") or {}).get("paths")
    if paths != [PARTITION_PATH]:
        raise StoreRefusedError(
            f"{settings} has the partition key {', '.join(paths or ['none'])}, which can't be changed; make another "
            f"one with {PARTITION_PATH} and write it as collection"
        )


def _log_limits(client: Client) -> None:
    if client.default_ttl is None:
        logger.warning(
            "%s lets nothing expire, so writes with ttlInSeconds will be refused; turn its time to live on: "
            "az cosmosdb sql container update --ttl -1 ...",
            client.settings,
        )
    if client.consistency != "Strong":
        logger.info(
            "%s: strong reads see what this sidecar has written; for what others have written make the account's "
            "consistency Strong (it is %s)",
            client.settings,
            client.consistency,
        )
