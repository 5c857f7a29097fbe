"""An open store that has to leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pannier_sidecar.state.store import Store

Kind = TypeVar("Kind", bound=Store)


@asynccontextmanager
async def opened(store: Kind, patience_s: float = 0.0) -> AsyncIterator[Kind]:
    """Open a store; afterwards no task may be left and no exception unseen.

    `patience_s` is for client libraries that end their own tasks a little later.
    """
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    before = asyncio.all_tasks()
    await store.open()
    try:
        yield store
    finally:
        await store.close()
        await asyncio.sleep(0)
        deadline = loop.time() + patience_s
        while left := asyncio.all_tasks() - before - {asyncio.current_task()}:
            assert loop.time() < deadline, left
            await asyncio.sleep(0.01)
        gc.collect()
        assert not complaints, complaints
