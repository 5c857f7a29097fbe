"""The statements that remove expired rows, and note when that was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_sidecar.network.sweeping import ROWS_AT_ONCE, SharedSweeper

from .connection import Connection

if TYPE_CHECKING:
    from .client import Pool


class ExpirySweeper(SharedSweeper):
    """Removes expired rows of a table."""

    def __init__(self, pool: Pool, sweep: str, metadata_table: str, key: str, interval: float):
        """`sweep` is the statement that removes up to `$1` rows; `key` is where the time of the last removal is kept;
        `interval` in seconds.
        """
        super().__init__(interval)
        self._pool = pool
        self._sweep = sweep
        self._note = (
            f"INSERT INTO {metadata_table} AS present (key, value) VALUES ($1, now()::text) "
            "ON CONFLICT (key) DO UPDATE SET value = now()::text "
            "WHERE now() - present.value::timestamp with time zone > $2 * interval '1 second'"
        )
        self._key = key

    async def _claim(self) -> bool:
        status = await self._pool.run(Connection.execute, self._note, self._key, self._due_after)
        return not status.endswith(" 0")

    async def _remove(self) -> int:
        status = await self._pool.run(Connection.execute, self._sweep, ROWS_AT_ONCE)
        return int(status.rpartition(" ")[2])
