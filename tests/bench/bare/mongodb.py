"""MongoDB through pymongo alone: what the store must do for a get and a set, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from uuid import uuid4

from pymongo import AsyncMongoClient


@asynccontextmanager
async def bare(
    settings: Mapping[str, str],
) -> AsyncIterator[tuple[Callable[[str], Awaitable[bytes | None]], Callable[[str, bytes], Awaitable[None]]]]:
    client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(settings["host"], timeoutMS=5000)
    collection = client["daprStore"]["daprCollection"]

    async def get(key: str) -> bytes | None:
        found = await collection.find_one({"_id": key})
        return None if found is None else str(found["value"]).encode()

    async def set(key: str, value: bytes) -> None:
        document = {"value": value.decode(), "_etag": str(uuid4()), "_ttl": None}
        await collection.replace_one({"_id": key}, document, upsert=True)

    try:
        yield get, set
    finally:
        await client.close()
