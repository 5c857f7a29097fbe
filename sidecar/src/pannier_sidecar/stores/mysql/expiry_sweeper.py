"""The statements that remove expired rows, and note when that was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_sidecar.network.sweeping import ROWS_AT_ONCE, SharedSweeper

from .connection import Connection

if TYPE_CHECKING:
    from .client import Pool


class ExpirySweeper(SharedSweeper):
    """Removes expired rows of a table."""

    def __init__(self, pool: Pool, sweep: str, metadata_table: str, interval: float):
        """`sweep` is the statement that removes rows, up to the number at its end; `interval` in seconds."""
        super().__init__(interval)
        self._pool = pool
        self._sweep = f"{sweep}{ROWS_AT_ONCE}"
        # Times are compared as text: for a text that is no time, functions of time would fail. Dapr's are in the time
        # zone of its session, so that only one that is a day ahead is taken for none.
        due = f"CAST(CURRENT_TIMESTAMP(6) - INTERVAL {int(self._due_after * 1_000_000)} MICROSECOND AS CHAR)"
        is_due = f"value <= {due} OR value > CAST(CURRENT_TIMESTAMP + INTERVAL 1 DAY AS CHAR)"
        self._note = (
            f"INSERT INTO {metadata_table} (id, value) VALUES ('last-cleanup', CURRENT_TIMESTAMP) "
            f"ON DUPLICATE KEY UPDATE value = IF({is_due}, CURRENT_TIMESTAMP, value)"
        )

    async def _claim(self) -> bool:
        return await self._pool.run(Connection.execute, self._note) > 0

    async def _remove(self) -> int:
        return await self._pool.run(Connection.execute, self._sweep)
