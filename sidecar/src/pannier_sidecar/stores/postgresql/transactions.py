"""All writes or none: rows with preconditions are locked and checked, then each key gets only its last write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncpg import PostgresError

from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.state.preconditions import absent_or_changed
from pannier_sidecar.state.requests import Delete, Set, Write

from .names import key_of, name_of
from .writing import check_outcome, columns_of, etag_of, statement_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .connection import Connection
    from .layout import Layout
    from .statements import Statements


class Transaction:
    """The writes of one transaction, sorted by what is to be done with them."""

    def __init__(self, writes: Sequence[Write], statements: Statements, layout: Layout):
        """Raise ETagMismatchError and InvalidETagError for an ETag that no row can have."""
        self._statements = statements
        self._layout = layout
        for write in writes:
            if write.if_match is not None:
                etag_of(write, layout)
        self._guarded = [write for write in writes if write.is_conditional]
        last = {write.key: write for write in writes}.values()
        self._absent = {write.key: write for write in writes if write.if_absent}
        self._created = [write for write in last if isinstance(write, Set) and write.key in self._absent]
        sets = [write for write in last if isinstance(write, Set) and write.key not in self._absent]
        self._written = [write for write in sets if write.kept_expiry is None]
        self._kept = [write for write in sets if write.kept_expiry is not None]
        # A key that must be absent needs no delete. If it appears meanwhile, it belongs to another client.
        self._deleted = [write for write in last if isinstance(write, Delete) and write.key not in self._absent]
        self._is_ending = False

    def may_be_done(self) -> bool:
        """Return whether COMMIT was sent; without it, everything is undone."""
        return self._is_ending

    async def run(self, connection: Connection) -> None:
        """Carry it out. Raises ETagMismatchError, having changed nothing, and the library's errors."""
        self._is_ending = False
        await connection.run("BEGIN")
        try:
            await self._check(connection)
            await self._write(connection)
        except (StoreError, PostgresError):
            if not connection.is_closed():
                await connection.run("ROLLBACK")
            raise
        self._is_ending = True
        await connection.run("COMMIT")

    async def _check(self, connection: Connection) -> None:
        if not self._guarded:
            return
        names = sorted({name_of(write.key) for write in self._guarded})
        rows = await connection.fetch(self._statements.lock, names)
        etags = {key_of(name): str(etag) for name, etag in rows}
        for write in self._guarded:
            if etags.get(write.key) != (write.if_match and write.if_match.lower()):
                raise absent_or_changed(write)

    async def _write(self, connection: Connection) -> None:
        if self._written:
            await connection.execute(self._statements.write_many, *columns_of(self._written, self._layout))
        for write in self._kept:
            statement = statement_of(write, self._statements, self._layout)
            check_outcome(write, await connection.execute(statement.text, *statement.parameters))
        if self._created:
            rows = await connection.fetch(self._statements.create_many, *columns_of(self._created, self._layout))
            made = {key_of(name) for (name,) in rows}
            for write in self._created:
                if write.key not in made:  # another client was first, after the check
                    raise absent_or_changed(self._absent[write.key])
        if self._deleted:
            names = [name_of(write.key) for write in self._deleted]
            await connection.execute(self._statements.delete_many, names)
