"""The store: each call is one statement on one connection, several conditional writes are a transaction."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from pannier_sidecar.network.answers import read_in_parts
from pannier_sidecar.network.connection_pool import always
from pannier_sidecar.network.pooled_store import PooledStore
from pannier_sidecar.network.sql_writes import has_happened
from pannier_sidecar.state.cursors import etag_page, key_before
from pannier_sidecar.state.errors import InvalidCursorError, StoreError
from pannier_sidecar.state.feeds import ChangesBy, ETagPage, KeyETag
from pannier_sidecar.state.preconditions import absent_or_changed
from pannier_sidecar.state.store import Feature, KeyPage, Setting, StoredValue, key_page

from . import errors
from .client import Pool
from .connection import Connection, connect
from .encryption import context
from .expiry_sweeper import ExpirySweeper
from .layout import Layout, LayoutV2, Table, etag_of, stored_value, units
from .schema import Schema
from .settings import read_settings
from .statements import Statements
from .tds.errors import ServerError
from .transactions import Transaction
from .writing import check_write, statement_of, statement_of_many, taken_for_another

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AsyncExitStack

    from pannier_sidecar.state.requests import Get, Write

    from .tds.answers import Row


class SQLServerStore(PooledStore):
    """State in a table that other processes, Dapr's sidecar among them, may use at the same time. Version v1."""

    features = frozenset(Feature)
    keeps_expiry = True
    changes_by = ChangesBy.POLL
    _layout: ClassVar[Layout] = Layout()

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings (canonical names, durations in seconds); connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._schema = Schema(self._settings, self._layout)
        self._use(Table(self._settings.key_type, self._settings.key_length))

    def _use(self, table: Table) -> None:
        self._table = table
        self._statements = Statements(self._schema.state, table, self._layout)
        self.max_key_bytes = table.max_key

    async def _open(self, resources: AsyncExitStack) -> None:
        settings = self._settings
        token = await self._tokens(resources)
        tls = context(settings)

        async def connected() -> Connection:
            return await connect(settings, tls, await token())

        if settings.may_make_database:
            await self._make_database(tls, token)
        self._pool = Pool(
            connected,
            where=settings.where,
            size=settings.size,
            timeout=settings.timeout,
            idle_time=settings.idle_time,
        )
        resources.push_async_callback(self._pool.close)
        self._use(await self._pool.run(self._schema.prepare))
        await self.ping()
        notes = self._schema.metadata if self._table.has_shared_notes else ""
        sweeper = ExpirySweeper(self._pool, self._statements, notes, settings.cleanup_interval)
        resources.push_async_callback(sweeper.stop)
        sweeper.start()

    async def _tokens(self, resources: AsyncExitStack) -> Callable[[], Awaitable[str]]:
        """Return what returns a token of Entra ID, or an empty text where a password is used."""
        settings = self._settings
        if settings.profile is None:
            return _no_token
        from pannier_sidecar.clouds.database_tokens import entra_tokens  # few components sign in so

        tokens = await entra_tokens(settings.profile, settings.scope, settings.timeout, resources)

        async def token() -> str:
            return (await tokens.get()).text.reveal()

        return token

    async def _make_database(self, tls: ssl.SSLContext | None, token: Callable[[], Awaitable[str]]) -> None:
        """Make the database if it is missing; whether one may use it turns out when it is."""
        where = self._settings.where
        try:
            async with asyncio.timeout(self._settings.timeout):
                connection = await self._connected_to_any(tls, token)
                try:
                    await self._schema.make_database(connection)
                finally:
                    connection.terminate()  # at once, because waiting for anything could be cancelled
        except errors.ERRORS as error:
            raise errors.translate(error, where, is_unknown=False) from error

    async def _connected_to_any(self, tls: ssl.SSLContext | None, token: Callable[[], Awaitable[str]]) -> Connection:
        """Return a connection to the database of the settings, or to the user's own where that is missing."""
        try:
            return await connect(self._settings, tls, await token())
        except ServerError as error:
            if error.number not in errors.NO_DATABASE:
                raise
        return await connect(self._settings, tls, await token(), database="")

    async def ping(self) -> None:
        await self._opened.run(Connection.fetch, *self._statements.probe)

    async def get(self, get: Get) -> StoredValue | None:
        if not self._table.can_hold(get.key):
            return None
        rows = await self._opened.run(Connection.fetch, *self._statements.read(get.key), self._statements.read_columns)
        return stored_value(self._layout, get.key, rows[0]) if rows else None

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        keys = [key for key in dict.fromkeys(get.key for get in gets) if self._table.can_hold(key)]
        found: dict[str, Row] = {}
        failed: dict[str, StoreError] = {}
        for start in range(0, len(keys), self._settings.chunk_size):
            chunk = keys[start : start + self._settings.chunk_size]
            try:
                parts = await read_in_parts(self._rows, chunk)
            except StoreError as error:
                failed |= dict.fromkeys(chunk, error)
                continue
            found |= {self._table.named(row[-1]): row[:-1] for rows in parts for row in rows}
        return [failed.get(get.key) or self._value_or_error(get.key, found.get(get.key)) for get in gets]

    async def _rows(self, keys: Sequence[str]) -> Sequence[Row]:
        statement = self._statements.read_many(keys)
        rows: Sequence[Row] = await self._opened.run(Connection.fetch, *statement, self._statements.read_columns + 1)
        return rows

    def _value_or_error(self, key: str, row: Row | None) -> StoredValue | StoreError | None:
        if row is None:
            return None
        try:
            return stored_value(self._layout, key, row)
        except StoreError as error:
            return error

    async def _write(self, write: Write) -> None:
        check_write(write, self._table)
        statement = statement_of(write, self._statements)
        rows = await self._opened.run(Connection.count, *statement, may_be_done=always)
        if has_happened(write, rows):
            return
        if not write.is_conditional or (write.if_absent and await self._is_taken(write.key)):
            raise taken_for_another(write.key, self._table)
        raise absent_or_changed(write)

    async def _is_taken(self, key: str) -> bool:
        """Return whether there is a row of another key that is the same to the table."""
        return not self._table.is_exact and bool(await self._opened.run(Connection.count, *self._statements.other(key)))

    async def _write_together(self, run: Sequence[Write]) -> Sequence[StoreError | None]:
        transaction = self._transaction(run)
        statement = statement_of_many(run, self._statements, self._table)
        if statement is None:
            return await self._opened.run(transaction.run_each, may_be_done=transaction.may_be_done)
        await self._opened.run(Connection.count, *statement, may_be_done=always)
        return [None] * len(run)

    def _transaction(self, writes: Sequence[Write]) -> Transaction:
        for write in writes:
            check_write(write, self._table)
        return Transaction(writes, self._statements, self._table)

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        return key_page(await self.etags(prefix, limit, cursor))

    async def etags(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        after = None if cursor is None else key_before(cursor, prefix)
        if after is not None and not self._table.can_hold(after):
            raise InvalidCursorError(f"cursor {cursor!r} was not made by this store; leave it out to start again")
        if self._table.key_type == "string" and units(prefix) >= self._table.max_key:
            return ETagPage([], None)
        rows = await self._opened.run(Connection.fetch, *self._statements.names(prefix, limit + 1, after), 2)
        return etag_page([KeyETag(self._table.named(name), etag_of(version)) for name, version in rows], limit)


class SQLServerStoreV2(SQLServerStore):
    """Version v2."""

    _layout = LayoutV2()


async def _no_token() -> str:
    return ""
