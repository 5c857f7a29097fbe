"""The store: each call is one statement on one connection, several conditional writes are a transaction."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from pannier_sidecar.network.answers import read_in_parts
from pannier_sidecar.network.connection_pool import always
from pannier_sidecar.network.pooled_store import PooledStore
from pannier_sidecar.network.sql_writes import has_happened
from pannier_sidecar.state.cursors import etag_page, key_before
from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.state.feeds import ChangesBy, KeyETag
from pannier_sidecar.state.preconditions import absent_or_changed
from pannier_sidecar.state.store import Feature, KeyPage, Setting, StoredValue, key_page

from .client import Pool
from .connection import Connection, Row, connect
from .encryption import context
from .expiry_sweeper import ExpirySweeper
from .layout import MAX_KEY, Table, decoded, stored_value
from .schema import Schema
from .settings import read_settings
from .statements import Statements
from .transactions import Transaction
from .writing import (
    check_write,
    statement_of,
    statement_of_many,
    taken_for_another,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AsyncExitStack

    from pannier_sidecar.clouds.database_tokens import SentToken
    from pannier_sidecar.state.feeds import ETagPage
    from pannier_sidecar.state.prefilter import Needed
    from pannier_sidecar.state.requests import Get, Write


class MySQLStore(PooledStore):
    """State in a table that other processes, Dapr's sidecar among them, may use at the same time."""

    features = frozenset(Feature)
    keeps_expiry = True
    changes_by = ChangesBy.POLL
    max_key_bytes = MAX_KEY

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings (canonical names, durations in seconds); connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._schema = Schema(self._settings)
        self._statements = Statements(self._schema.state, Table())
        self._table = Table()

    async def _open(self, resources: AsyncExitStack) -> None:
        settings = self._settings
        self._pool = Pool(
            partial(connect, settings, context(settings), await self._password(resources)),
            where=settings.where,
            size=settings.size,
            timeout=settings.timeout,
            idle_time=settings.idle_time,
        )
        resources.push_async_callback(self._pool.close)
        self._table = await self._pool.run(self._schema.prepare)
        self._statements = Statements(self._schema.state, self._table)
        await self.ping()
        sweeper = ExpirySweeper(self._pool, self._statements.sweep, self._schema.metadata, settings.cleanup_interval)
        resources.push_async_callback(sweeper.stop)
        sweeper.start()

    async def _password(self, resources: AsyncExitStack) -> SentToken | None:
        """Return the token that is sent as the password; None: the component has a password."""
        settings = self._settings
        if settings.profile is None:
            return None
        from pannier_sidecar.clouds.database_tokens import token_for  # few components sign in so

        signed = f"https://{settings.server}/" if settings.server else ""
        return await token_for(settings.profile, settings.user, signed, settings.timeout, resources)

    async def ping(self) -> None:
        await self._opened.run(Connection.fetch, self._statements.probe)

    async def get(self, get: Get) -> StoredValue | None:
        rows = await self._opened.run(Connection.fetch, self._statements.read(get.key), 4)
        return stored_value(get.key, rows[0]) if rows else None

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        if not gets:
            return []
        try:
            parts = await read_in_parts(self._rows, [*dict.fromkeys(get.key for get in gets)])
        except StoreError as error:
            return [error] * len(gets)
        found = {row[4]: row for rows in parts for row in rows}
        return [_value_or_error(get.key, found.get(get.key.encode())) for get in gets]

    async def _rows(self, keys: Sequence[str]) -> Sequence[Row]:
        return await self._opened.run(Connection.fetch, self._statements.read_many(keys), 5)

    async def _write(self, write: Write) -> None:
        check_write(write, self._table.max_key, time.time())
        rows = await self._opened.run(Connection.execute, statement_of(write, self._statements), may_be_done=always)
        if has_happened(write, rows):
            return
        if not write.is_conditional or (write.if_absent and await self._is_taken(write.key)):
            raise taken_for_another(write.key)
        raise absent_or_changed(write)

    async def _is_taken(self, key: str) -> bool:
        """Return whether there is a row of another key that is the same to the table."""
        return not self._table.is_exact and bool(await self._opened.run(Connection.fetch, self._statements.other(key)))

    async def _write_together(self, run: Sequence[Write]) -> Sequence[StoreError | None]:
        transaction = self._transaction(run)
        statement = statement_of_many(run, self._statements, is_exact=self._table.is_exact)
        if statement is None:
            return await self._opened.run(transaction.run_each, may_be_done=transaction.may_be_done)
        await self._opened.run(Connection.execute, statement, may_be_done=always)
        return [None] * len(run)

    def _transaction(self, writes: Sequence[Write]) -> Transaction:
        now = time.time()
        for write in writes:
            check_write(write, self._table.max_key, now)
        return Transaction(writes, self._statements, is_exact=self._table.is_exact)

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        return await self.candidates(prefix, limit, cursor, ())

    async def candidates(self, prefix: str, limit: int, cursor: str | None, needed: Needed) -> KeyPage:
        return key_page(await self._list(prefix, limit, cursor, needed))

    async def etags(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        return await self._list(prefix, limit, cursor, ())

    async def _list(self, prefix: str, limit: int, cursor: str | None, needed: Needed) -> ETagPage:
        after = None if cursor is None else key_before(cursor, prefix)
        rows = await self._opened.run(Connection.fetch, self._statements.names(prefix, limit + 1, after, needed), 2)
        return etag_page([KeyETag(decoded(name), decoded(etag)) for name, etag in rows], limit)


def _value_or_error(key: str, row: Row | None) -> StoredValue | StoreError | None:
    if row is None:
        return None
    try:
        return stored_value(key, row)
    except StoreError as error:
        return error
