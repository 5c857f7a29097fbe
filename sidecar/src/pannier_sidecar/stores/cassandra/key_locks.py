"""One writer at a time for each key.

Lightweight transactions that contend for a row start over, and under load none of them ends in time. These locks keep
those of one sidecar from contending.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pannier_sidecar.state.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class _Queue:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.length = 0


class KeyLocks:
    """A lock for each key that is being written."""

    def __init__(self, timeout: float):
        """`timeout` is in seconds."""
        self._timeout = timeout
        self._queues: dict[str, _Queue] = {}

    @asynccontextmanager
    async def of(self, key: str) -> AsyncIterator[None]:
        """Hold the lock of a key. Raises StoreUnavailableError where others hold it for too long."""
        queue = self._queues.setdefault(key, _Queue())
        queue.length += 1
        try:
            if queue.length > 1:
                await self._wait(queue, key)
            else:
                await queue.lock.acquire()
            try:
                yield
            finally:
                queue.lock.release()
        finally:
            queue.length -= 1
            if not queue.length:
                del self._queues[key]

    async def _wait(self, queue: _Queue, key: str) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await queue.lock.acquire()
        except TimeoutError:
            raise StoreUnavailableError(
                f"key {key} is being written by {queue.length - 1} other calls; nothing was written within "
                f"{self._timeout:g} s; try again later"
            ) from None
