"""An HTTP client library alone, for Consul's entries: JSON with the value in base64, flags with each write."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from aiohttp import ClientSession, TCPConnector
from bare.calls import Calls
from servers.database import Settings


@asynccontextmanager
async def bare(settings: Settings) -> AsyncIterator[Calls]:
    numbers = count(1)
    async with ClientSession(f"http://{settings['httpAddr']}", connector=TCPConnector(limit=32)) as session:

        async def get(key: str) -> bytes | None:
            async with session.get(f"/v1/kv/dapr/{key}") as answer:
                if answer.status == 404:
                    return None
                [entry] = json.loads(await answer.read())
                return b64decode(entry["Value"])

        async def set(key: str, value: bytes) -> None:
            async with session.put(f"/v1/kv/dapr/{key}", params={"flags": next(numbers)}, data=value) as answer:
                assert await answer.json(content_type=None) is True

        yield get, set
