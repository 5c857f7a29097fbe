"""An open RedisStore that must leave nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from servers import opened_store

from pannier_sidecar.stores.redis.store import RedisStore

IMPATIENT = {"dialTimeout": 0.4, "readTimeout": 0.4, "writeTimeout": 0.4}


@asynccontextmanager
async def opened(settings: Mapping[str, Any], **more: Any) -> AsyncIterator[RedisStore]:
    """Open a store; afterwards no task may be left and no exception unseen."""
    async with opened_store.opened(RedisStore({**settings, **more})) as store:
        try:
            yield store
        finally:
            await store.close()  # and once more there


@asynccontextmanager
async def opened_beside(settings: Mapping[str, Any], **more: Any) -> AsyncIterator[RedisStore]:
    """Open a store while another one of the test may begin tasks of its own at any time, as in an outage."""
    store = RedisStore({**settings, **more})
    await store.open()
    try:
        yield store
    finally:
        await store.close()
