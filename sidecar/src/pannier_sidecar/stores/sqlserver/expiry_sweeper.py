"""The statements that remove expired rows, and note when that was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_sidecar.network.sweeping import ROWS_AT_ONCE, SharedSweeper

from .connection import Connection
from .tds.requests import Parameter

if TYPE_CHECKING:
    from .client import Pool
    from .statements import Statements


class ExpirySweeper(SharedSweeper):
    """Removes expired rows of a table."""

    def __init__(self, pool: Pool, statements: Statements, notes: str, interval: float):
        """Take the table in which the last removal is noted, quoted (`notes`); empty: each sidecar removes rows at
        its own times. `interval` in seconds.
        """
        super().__init__(interval)
        self._pool = pool
        self._sweep = statements.sweep(ROWS_AT_ONCE)
        # A text that is no time is taken for none. Dapr's are in the time zone of its server, so that only one that is
        # a day ahead is taken for none.
        time = "TRY_CONVERT(DATETIME2, old.[Value])"
        is_due = (
            f"({time} IS NULL OR {time} <= DATEADD(MILLISECOND, -@due, SYSDATETIME()) "
            f"OR {time} > DATEADD(DAY, 1, SYSDATETIME()))"
        )
        now = "CONVERT(NVARCHAR(30), SYSDATETIME(), 21)"
        self._note = notes and (
            f"MERGE INTO {notes} WITH (HOLDLOCK) AS old USING (VALUES (N'last-cleanup')) AS new ([Key]) "
            f"ON old.[Key] = new.[Key] WHEN MATCHED AND {is_due} THEN UPDATE SET [Value] = {now} "
            f"WHEN NOT MATCHED THEN INSERT ([Key], [Value]) VALUES (new.[Key], {now}); SELECT @@ROWCOUNT"
        )
        self._due = [Parameter("@due", "INT", min(int(self._due_after * 1000), 2**31 - 1))]

    async def _claim(self) -> bool:
        return not self._note or await self._pool.run(Connection.count, self._note, self._due) > 0

    async def _remove(self) -> int:
        return await self._pool.run(Connection.count, *self._sweep)
