"""Cosmos DB through azure-cosmos alone: what the store must do for a get and a set, and nothing else."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import CosmosResourceNotFoundError


@asynccontextmanager
async def bare(
    settings: Mapping[str, str],
) -> AsyncIterator[tuple[Callable[[str], Awaitable[bytes | None]], Callable[[str, bytes], Awaitable[None]]]]:
    async with CosmosClient(settings["url"], settings["masterKey"], no_response_on_write=True) as client:
        container = client.get_database_client(settings["database"]).get_container_client(settings["collection"])

        async def get(key: str) -> bytes | None:
            try:
                found = await container.read_item(key, key)
            except CosmosResourceNotFoundError:
                return None
            return b64decode(found["value"])

        async def set(key: str, value: bytes) -> None:
            stored = b64encode(value).decode()
            await container.upsert_item({"id": key, "partitionKey": key, "value": stored, "isBinary": True})

        yield get, set
