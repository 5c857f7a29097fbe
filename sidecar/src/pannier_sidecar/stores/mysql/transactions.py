"""Several writes between BEGIN and COMMIT.

Rows with preconditions are locked and checked, then each key gets only its last write. A row that must be absent is
inserted plainly: if another client was first after the check, the server reports a duplicate key, and the transaction
is tried again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiomysql

from pannier_sidecar.state.errors import ETagMismatchError, StoreError
from pannier_sidecar.state.preconditions import absent_or_changed
from pannier_sidecar.state.requests import Delete, Set, Write

from .layout import decoded
from .writing import BYTES_AT_ONCE, taken_for_another

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .connection import Connection
    from .statements import Statements


class Transaction:
    """The writes of one transaction. `is_exact`: the table takes no two keys for the same."""

    def __init__(self, writes: Sequence[Write], statements: Statements, *, is_exact: bool):
        self._writes = writes
        self._statements = statements
        self._is_exact = is_exact
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
        except (StoreError, aiomysql.MySQLError):
            if not connection.is_closed():
                await connection.rollback()
            raise
        self._is_ending = True
        await connection.commit()
        return failed

    async def _failed(self, connection: Connection) -> dict[str, ETagMismatchError]:
        """Lock the rows with preconditions, and return the error of each key whose precondition does not hold."""
        guarded = [write for write in self._writes if write.is_conditional]
        if not guarded:
            return {}
        rows = await connection.fetch(self._statements.lock(sorted({write.key for write in guarded})), 2)
        etags = {decoded(name): decoded(etag) for name, etag in rows}
        return {
            write.key: absent_or_changed(write) for write in reversed(guarded) if etags.get(write.key) != write.if_match
        }

    async def _write(self, connection: Connection, writes: Sequence[Write]) -> None:
        last = {write.key: write for write in writes}.values()
        absent = {write.key for write in writes if write.if_absent}
        created = [write for write in last if isinstance(write, Set) and write.key in absent]
        written = [write for write in last if isinstance(write, Set) and write.key not in absent]
        # A key that must be absent needs no delete. If it appears meanwhile, it belongs to another client.
        deleted = [write.key for write in last if isinstance(write, Delete) and write.key not in absent]
        for part in _parts(sorted(written, key=_key), 0 if self._is_exact else 1):
            if not await connection.execute(self._statements.write(part)):
                raise taken_for_another(part[0].key)
        if created:
            await connection.execute(self._statements.delete_expired(sorted(write.key for write in created)))
            for part in _parts(sorted(created, key=_key), 0):
                await connection.execute(self._statements.insert(part))
        if deleted:
            await connection.execute(self._statements.delete_many(sorted(deleted)))


def _key(write: Write) -> str:
    return write.key


def _parts(sets: Iterable[Set], max_length: int) -> Iterator[list[Set]]:
    """Cut writes into parts for one statement each; `max_length` 0: as many as their sizes allow."""
    part: list[Set] = []
    size = 0
    for write in sets:
        size += len(write.value)
        if part and (size > BYTES_AT_ONCE or len(part) == max_length):
            yield part
            part, size = [], len(write.value)
        part.append(write)
    if part:
        yield part
