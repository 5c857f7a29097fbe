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

    def __init__(self, pool: Pool, sweep: str, metadata_table: str, key: str, interval: float):
        """`sweep` is the statement that removes up to `$1` rows; `key` is where the time of the last sweep is kept."""
        self._pool = pool
        self._sweep = sweep
        self._claim = (
            f"INSERT INTO {metadata_table} AS present (key, value) VALUES ($1, now()::text) "
            "ON CONFLICT (key) DO UPDATE SET value = now()::text "
            "WHERE now() - present.value::timestamp with time zone > $2 * interval '1 second'"
        )
        self._key = key
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
        # A little less, because other sidecars' clocks and pauses differ.
        claimed = await self._pool.run(Connection.execute, self._claim, self._key, 0.9 * self._interval)
        if claimed.endswith(" 0"):
            return
        removed = ROWS_AT_ONCE
        while removed == ROWS_AT_ONCE:
            status = await self._pool.run(Connection.execute, self._sweep, ROWS_AT_ONCE)
            removed = int(status.rpartition(" ")[2])
