"""Removes expired rows from time to time; of all sidecars that share a table, one at a time does it."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import Final

from pannier_sidecar.state.errors import StoreError

logger = logging.getLogger(__name__)

ROWS_AT_ONCE: Final = 10_000
"""Expired rows removed by one statement, so that none runs for long."""


class SharedSweeper(ABC):
    """A task that removes expired rows, and sleeps in between. The time of the last removal is kept in the database."""

    def __init__(self, interval: float):
        """`interval` in seconds; 0: expired rows stay."""
        self._interval = interval
        self._due_after = 0.9 * interval
        """Seconds after the last removal; a little less than the interval, because other sidecars' clocks and pauses
        differ.
        """
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._interval > 0:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self._clean()
            except StoreError as error:
                logger.warning("expired rows could not be removed: %s", error)

    async def _clean(self) -> None:
        """Remove what has expired, unless that is not due yet."""
        if not await self._claim():
            return
        while await self._remove() == ROWS_AT_ONCE:
            pass

    @abstractmethod
    async def _claim(self) -> bool:
        """If a removal is due, note in the database that it is done now, and return True; no other sidecar gets True
        until the next one is due. Raises a StoreError.
        """

    @abstractmethod
    async def _remove(self) -> int:
        """Remove expired rows, up to ROWS_AT_ONCE, and return their number. Raises a StoreError."""
