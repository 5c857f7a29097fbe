"""All callers that ask while an earlier read runs share the next read. It begins after they have asked, so its result
is as new as that of a read of their own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Found = TypeVar("Found")


class SharedReads(Generic[Found]):
    """Reads by a key, such as a namespace. For each key at most one read runs, and at most one waits for it."""

    def __init__(self, read: Callable[[str], Awaitable[Found]]):
        self._read = read
        self._running: dict[str, asyncio.Task[Found]] = {}
        self._waiting: dict[str, asyncio.Task[Found]] = {}

    async def of(self, key: str) -> Found:
        """Return the result of a read that begins after this call; do not change it. Raises what the read raises."""
        task = self._waiting.get(key)
        if task is None:
            task = self._waiting[key] = asyncio.create_task(self._after(self._running.get(key), key))
        return await asyncio.shield(task)  # others may wait for it too

    async def _after(self, earlier: asyncio.Task[Found] | None, key: str) -> Found:
        if earlier is not None:
            await asyncio.wait((earlier,))
        self._running[key] = self._waiting.pop(key)
        try:
            return await self._read(key)
        finally:
            del self._running[key]
