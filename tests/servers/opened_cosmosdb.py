"""An open CosmosDBStore."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pannier_sidecar.stores.cosmosdb.store import CosmosDBStore


@asynccontextmanager
async def opened(settings: Mapping[str, Any], **more: Any) -> AsyncIterator[CosmosDBStore]:
    store = CosmosDBStore({**settings, **more})
    await store.open()
    try:
        yield store
    finally:
        await store.close()
