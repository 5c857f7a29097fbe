"""Open stores that must leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.state.store import Store
from pannier_sidecar.stores import registry

Kind = TypeVar("Kind", bound=Store)


FORGOTTEN = "unexpected connection_lost() call"
"""asyncpg reports this where an attempt to connect is given up in the moment in which it succeeds."""

OpenStore = Callable[..., Awaitable[Store]]
"""Opens a store of a version, with more settings."""


@asynccontextmanager
async def nothing_left(patience_s: float = 0.0) -> AsyncIterator[None]:
    """After the block no task may be left and no exception unseen.

    `patience_s` is for client libraries that end their own tasks a little later.
    """
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    deadline = loop.time() + patience_s
    while left := asyncio.all_tasks() - before - {asyncio.current_task()}:
        assert loop.time() < deadline, left
        await asyncio.sleep(0.01)
    gc.collect()
    complaints = [each for each in complaints if FORGOTTEN not in str(each.get("exception"))]
    assert not complaints, complaints


@asynccontextmanager
async def opened(store: Kind, patience_s: float = 0.0) -> AsyncIterator[Kind]:
    """Open a store, which must leave nothing behind."""
    async with nothing_left(patience_s):
        await store.open()
        try:
            yield store
        finally:
            await store.close()


async def refusal_of(kind: type[Store], settings: Mapping[str, Any]) -> StoreError:
    """Return the error of a store that can't be made or opened. What was opened is closed by then, and may be closed
    again.
    """
    store: Store | None = None
    with pytest.raises(StoreError) as caught:
        store = kind(settings)
        await store.open()
    if store is not None:
        await store.close()
    return caught.value


@asynccontextmanager
async def opening(store_type: str, settings: Mapping[str, Any], patience_s: float = 0.0) -> AsyncIterator[OpenStore]:
    """Open as many stores as the block asks for; together they must leave nothing behind."""
    stores: list[Store] = []

    async def open_one(version: str = "v2", **more: Any) -> Store:
        store = registry.load(store_type, version)({**settings, **more})
        stores.append(store)
        await store.open()
        return store

    async with nothing_left(patience_s):
        try:
            yield open_one
        finally:
            for store in stores:
                await store.close()
                await store.close()  # closing twice is harmless
