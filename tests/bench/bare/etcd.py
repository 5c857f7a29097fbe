"""aetcd alone: a value, whose revision is its ETag."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aetcd
from bare.calls import Calls
from servers.database import Settings


@asynccontextmanager
async def bare(settings: Settings) -> AsyncIterator[Calls]:
    host, _, port = str(settings["endpoints"]).rpartition(":")
    async with aetcd.Client(host=host, port=int(port), timeout=5) as client:

        async def get(key: str) -> bytes | None:
            found = await client.get(key.encode())
            return None if found is None else found.value

        async def set(key: str, value: bytes) -> None:
            await client.put(key.encode(), value)

        yield get, set
