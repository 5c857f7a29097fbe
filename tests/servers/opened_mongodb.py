"""An open MongoDBStore."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pannier_sidecar.stores.mongodb.store import MongoDBStore


@asynccontextmanager
async def opened(settings: Mapping[str, Any], **more: Any) -> AsyncIterator[MongoDBStore]:
    store = MongoDBStore({**settings, **more})
    await store.open()
    try:
        yield store
    finally:
        await store.close()
