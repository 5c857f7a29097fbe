"""Several writes between BEGIN and COMMIT.

Rows with preconditions are locked and checked, then each key gets only its last write. A row that must be absent is
inserted plainly: if another client was first after the check, the server reports a duplicate key, and the transaction
is tried again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiomysql

from pannier_sidecar.network.sql_writes import CheckedTransaction, key_of, parts
from pannier_sidecar.state.preconditions import absent_or_changed
from pannier_sidecar.state.requests import Delete, Set, Write

from .connection import Connection
from .layout import decoded
from .writing import BYTES_AT_ONCE, taken_for_another

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pannier_sidecar.state.errors import ETagMismatchError

    from .statements import Statements


class Transaction(CheckedTransaction[Connection]):
    """The writes of one transaction. `is_exact`: the table takes no two keys for the same."""

    _answered = aiomysql.MySQLError

    def __init__(self, writes: Sequence[Write], statements: Statements, *, is_exact: bool):
        super().__init__(writes)
        self._statements = statements
        self._is_exact = is_exact

    async def _failed(self, connection: Connection) -> dict[str, ETagMismatchError]:
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
        for write in written:
            if write.kept_expiry is not None:
                await connection.execute(self._statements.replace(write, write.if_match or ""))
        written = [write for write in written if write.kept_expiry is None]
        for part in parts(
            sorted(written, key=key_of), max_bytes=BYTES_AT_ONCE, max_length=None if self._is_exact else 1
        ):
            if not await connection.execute(self._statements.write(part)):
                raise taken_for_another(part[0].key)
        if created:
            await connection.execute(self._statements.delete_expired(sorted(write.key for write in created)))
            for part in parts(sorted(created, key=key_of), max_bytes=BYTES_AT_ONCE):
                await connection.execute(self._statements.insert(part))
        if deleted:
            await connection.execute(self._statements.delete_many(sorted(deleted)))
