"""nats-py alone: a value in a bucket, whose revision is its ETag."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
from bare.calls import Calls
from nats.js.errors import KeyNotFoundError
from servers.database import Settings


@asynccontextmanager
async def bare(settings: Settings) -> AsyncIterator[Calls]:
    client = await nats.connect(str(settings["natsURL"]))
    try:
        bucket = await client.jetstream().key_value(str(settings["bucket"]))

        async def get(key: str) -> bytes | None:
            try:
                return (await bucket.get(key.replace("||", "."))).value
            except KeyNotFoundError:
                return None

        async def set(key: str, value: bytes) -> None:
            await bucket.put(key.replace("||", "."), value)

        yield get, set
    finally:
        await client.close()
