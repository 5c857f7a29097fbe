"""Several writes between BEGIN and COMMIT.

Keys with preconditions are locked and checked, also where there is no row; then each key gets only its last write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_sidecar.network.sql_writes import CheckedTransaction, key_of, parts
from pannier_sidecar.state.preconditions import absent_or_changed
from pannier_sidecar.state.requests import Delete, Set, Write

from .connection import Connection
from .layout import etag_of
from .statements import MAX_ROWS
from .tds.errors import ServerError
from .writing import BYTES_AT_ONCE, taken_for_another

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pannier_sidecar.state.errors import ETagMismatchError

    from .layout import Table
    from .statements import Statements


class Transaction(CheckedTransaction[Connection]):
    """The writes of one transaction."""

    _answered = ServerError

    def __init__(self, writes: Sequence[Write], statements: Statements, table: Table):
        super().__init__(writes)
        self._statements = statements
        self._table = table

    async def _failed(self, connection: Connection) -> dict[str, ETagMismatchError]:
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
        kept = [write for write in last if isinstance(write, Set) and write.kept_expiry is not None]
        for write in kept:
            await connection.count(*self._statements.replace(write, write.if_match or ""))
        sets = sorted((write for write in last if isinstance(write, Set) and write not in kept), key=key_of)
        # A statement must not write two keys that are one to the table.
        for part in parts(sets, max_bytes=BYTES_AT_ONCE, max_length=MAX_ROWS if self._table.is_exact else 1):
            if await connection.count(*self._statements.write(part)) != len(part):
                raise taken_for_another(part[0].key, self._table)
        deleted = sorted(write.key for write in last if isinstance(write, Delete))
        for start in range(0, len(deleted), MAX_ROWS):
            await connection.count(*self._statements.delete(deleted[start : start + MAX_ROWS]))
