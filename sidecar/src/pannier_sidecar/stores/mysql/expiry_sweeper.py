"""Removes expired rows from time to time; of all sidecars that share the tables, one at a time does it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from pannier_sidecar.state.errors import StoreError

from .connection import Connection

if TYPE_CHECKING:
    from .client import Pool

logger = logging.getLogger(__name__)

ROWS_AT_ONCE: Final = 10_000
"""Expired rows removed by one statement, so that none runs for long."""


class ExpirySweeper:
    """A task that removes expired rows, and sleeps in between."""

    def __init__(self, pool: Pool, sweep: str, metadata_table: str, interval: float):
        """`sweep` is the statement that removes rows, up to the number at its end; `interval` in seconds."""
        self._pool = pool
        self._sweep = f"{sweep}{ROWS_AT_ONCE}"
        # A little less than the interval, because other sidecars' clocks and pauses differ. Times are compared as text:
        # for a text that is no time, functions of time would fail. Dapr's are in the time zone of its session, so that
        # only one that is a day ahead is taken for none.
        due = f"CAST(CURRENT_TIMESTAMP(6) - INTERVAL {int(0.9 * interval * 1_000_000)} MICROSECOND AS CHAR)"
        is_due = f"value <= {due} OR value > CAST(CURRENT_TIMESTAMP + INTERVAL 1 DAY AS CHAR)"
        self._claim = (
            f"INSERT INTO {metadata_table} (id, value) VALUES ('last-cleanup', CURRENT_TIMESTAMP) "
            f"ON DUPLICATE KEY UPDATE value = IF({is_due}, CURRENT_TIMESTAMP, value)"
        )
        self._interval = interval
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
        """Remove what has expired, unless that was done less than one interval ago."""
        if not await self._pool.run(Connection.execute, self._claim):
            return
        removed = ROWS_AT_ONCE
        while removed == ROWS_AT_ONCE:
            removed = await self._pool.run(Connection.execute, self._sweep)
