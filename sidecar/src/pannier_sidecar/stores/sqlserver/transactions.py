"""Several writes between BEGIN and COMMIT.

Keys with preconditions are locked and checked, also where there is no row; then each key gets only its last write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_sidecar.state.errors import ETagMismatchError, StoreError
from pannier_sidecar.state.preconditions import absent_or_changed
from pannier_sidecar.state.requests import Delete, Set, Write

from .layout import etag_of
from .statements import MAX_ROWS
from .tds.errors import ServerError
from .writing import key_of, parts, taken_for_another

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .connection import Connection
    from .layout import Table
    from .statements import Statements


class Transaction:
    """The writes of one transaction."""

    def __init__(self, writes: Sequence[Write], statements: Statements, table: Table):
        self._writes = writes
        self._statements = statements
        self._table = table
        self._is_ending = False

    def may_be_done(self) -> bool:
        """Return whether COMMIT was sent; without it, everything is undone."""
        return self._is_ending

    async def run(self, connection: Connection) -> None:
        """Carry all out. Raises ETagMismatchError, having changed nothing, and the connection's errors."""
        failed = await self._run(connection, all_or_none=True)
        if failed:
            raise next(iter(failed.values()))

    async def run_each(self, connection: Connection) -> list[StoreError | None]:
        """Carry out those whose precondition holds; the keys must differ. Return each one's error or None."""
        failed = await self._run(connection, all_or_none=False)
        return [failed.get(write.key) for write in self._writes]

    async def _run(self, connection: Connection, *, all_or_none: bool) -> dict[str, ETagMismatchError]:
        self._is_ending = False
        await connection.begin()
        try:
            failed = await self._failed(connection)
            if failed and all_or_none:
                await connection.rollback()
                return failed
            await self._write(connection, [write for write in self._writes if write.key not in failed])
        except (StoreError, ServerError):
            if not connection.is_closed():
                await connection.rollback()
            raise
        self._is_ending = True
        await connection.commit()
        return failed

    async def _failed(self, connection: Connection) -> dict[str, ETagMismatchError]:
        """Lock the keys with preconditions, and return the error of each whose precondition does not hold."""
        guarded = [write for write in self._writes if write.is_conditional]
        etags: dict[str, str] = {}
        keys = sorted({write.key for write in guarded})
        for start in range(0, len(keys), MAX_ROWS):
            statement = self._statements.lock(keys[start : start + MAX_ROWS])
            for name, version in await connection.fetch(*statement, columns=2):
                etags[self._table.named(name)] = etag_of(version)
        return {
            write.key: absent_or_changed(write)
            for write in reversed(guarded)
            if etags.get(write.key) != (write.if_match.lower() if write.if_match is not None else None)
        }

    async def _write(self, connection: Connection, writes: Sequence[Write]) -> None:
        last = {write.key: write for write in writes}.values()
        for part in parts(sorted((write for write in last if isinstance(write, Set)), key=key_of), self._table):
            if await connection.count(*self._statements.write(part)) != len(part):
                raise taken_for_another(part[0].key, self._table)
        deleted = sorted(write.key for write in last if isinstance(write, Delete))
        for start in range(0, len(deleted), MAX_ROWS):
            await connection.count(*self._statements.delete(deleted[start : start + MAX_ROWS]))
