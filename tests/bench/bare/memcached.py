"""A memcached client library alone: a value with its CAS number, stored with its time of expiry."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import emcache
from bare.calls import Calls
from servers.database import Settings


@asynccontextmanager
async def bare(settings: Settings) -> AsyncIterator[Calls]:
    host, _, port = str(settings["hosts"]).partition(":")
    # Its defaults, two connections and a timeout of a second, are not enough for sixteen callers.
    client = await emcache.create_client(
        [emcache.MemcachedHostAddress(host, int(port))], max_connections=16, timeout=30
    )

    async def get(key: str) -> bytes | None:
        found = await client.gets(key.encode(), return_flags=True)
        return None if found is None else found.value

    async def set(key: str, value: bytes) -> None:
        await client.set(key.encode(), value)

    yield get, set
    await client.close()
