"""A Redis client library alone: a value and its version in a hash."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bare.calls import Calls
from redis.asyncio import Redis
from servers.database import Settings


@asynccontextmanager
async def bare(settings: Settings) -> AsyncIterator[Calls]:
    async with Redis.from_url(f"redis://{settings['redisHost']}") as redis:

        async def get(key: str) -> bytes | None:
            value, _ = await redis.hmget(key, "data", "version")
            return value

        async def set(key: str, value: bytes) -> None:
            async with redis.pipeline(transaction=True) as together:
                await together.hset(key, "data", value).hincrby(key, "version", 1).execute()

        yield get, set
