"""The store: each call is one statement on one connection, a transaction is a few."""

from __future__ import annotations

import logging
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pannier_sidecar.network.answers import read_in_parts
from pannier_sidecar.network.connection_pool import always
from pannier_sidecar.network.pooled_store import PooledStore
from pannier_sidecar.state.cursors import cursor_after, key_before
from pannier_sidecar.state.errors import NotSupportedError, StoreError
from pannier_sidecar.state.feeds import ChangesBy, ETagPage, KeyETag
from pannier_sidecar.state.preconditions import absent_or_changed
from pannier_sidecar.state.store import Feature, KeyPage, Setting, StoredValue

from . import cockroachdb
from .client import Pool
from .connection import Connection, connect
from .expiry_sweeper import ExpirySweeper
from .layout import BytesLayout, JsonLayout, Layout
from .names import key_of, name_of
from .schema import Schema
from .settings import read_settings
from .statements import Statements
from .transactions import Transaction
from .writing import check_outcome, patterns_of, statement_of, statement_of_many

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AsyncExitStack

    from asyncpg import Record

    from pannier_sidecar.clouds.database_tokens import SentToken
    from pannier_sidecar.state.feeds import Feed
    from pannier_sidecar.state.prefilter import Needed
    from pannier_sidecar.state.requests import Get, Write

logger = logging.getLogger(__name__)


class PostgreSQLStore(PooledStore):
    """State in a table that other processes, Dapr's sidecar among them, may use at the same time."""

    title: ClassVar[str] = "PostgreSQL"
    """How messages call the database."""
    pool: ClassVar[type[Pool]] = Pool
    schema: ClassVar[type[Schema]] = Schema
    statements: ClassVar[type[Statements]] = Statements

    features = frozenset(Feature)
    changes_by = ChangesBy.PUSH
    keeps_expiry = True
    max_key_bytes = 2692
    """Maximum of bytes in an entry of an index."""
    layout: ClassVar[Layout]

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings (canonical names, durations in seconds); connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._statements = self.statements("", self.layout)
        self._table = ""
        """The table with its schema, once the store is open."""
        self._connecting: Callable[[], Awaitable[Connection]] | None = None
        if not self._settings.pushes_changes:
            self.changes_by = ChangesBy.POLL

    async def _open(self, resources: AsyncExitStack) -> None:
        settings = self._settings
        where = self._where
        schema = self.schema(settings, self.layout, where)
        connecting = partial(
            connect,
            settings.address.url.reveal(),
            patience=settings.address.connect_timeout or settings.timeout,
            names_statements=settings.keeps_statements,
            password=await self._password(resources),
        )
        self._pool = self.pool(
            connecting,
            where=where,
            size=settings.size,
            timeout=settings.timeout,
            idle_time=settings.idle_time,
        )
        resources.push_async_callback(self._pool.close)
        tables = await self._pool.run(schema.prepare)
        self._statements = self.statements(tables.state, self.layout)
        self._table, self._connecting = tables.state, connecting
        await self.ping()
        try:
            await self._pool.run(Connection.check_transactions)
        except NotSupportedError as error:
            logger.warning("%s", error)
        sweeper = ExpirySweeper(
            self._pool,
            self._statements.sweep,
            tables.metadata,
            schema.cleanup_key,
            settings.cleanup_interval,
        )
        resources.push_async_callback(sweeper.stop)
        sweeper.start()

    @property
    def _where(self) -> str:
        """How messages call the server."""
        return f"{self.title} at {self._settings.address.where}"

    async def _password(self, resources: AsyncExitStack) -> SentToken | None:
        """Return the token that is sent as the password; None: the component has a password."""
        settings = self._settings
        if settings.profile is None:
            return None
        from pannier_sidecar.clouds.database_tokens import token_for  # few components sign in so

        address = settings.address
        return await token_for(settings.profile, address.user, address.signed_url, settings.timeout, resources)

    async def ping(self) -> None:
        await self._opened.run(Connection.execute, self._statements.probe)

    async def get(self, get: Get) -> StoredValue | None:
        row = await self._opened.run(Connection.fetchrow, self._statements.read, name_of(get.key))
        return None if row is None else self.layout.decoded(get.key, row)

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        names = [name_of(get.key) for get in gets]
        try:
            parts = await read_in_parts(self._rows, [*dict.fromkeys(names)])
        except StoreError as error:
            return [error] * len(gets)
        found = {row["key"]: self._decoded(row) for rows in parts for row in rows}
        return [found.get(name) for name in names]

    async def _rows(self, names: Sequence[str]) -> list[Record]:
        return await self._opened.run(Connection.fetch, self._statements.read_many, names)

    def _decoded(self, row: Record) -> StoredValue | StoreError:
        try:
            return self.layout.decoded(key_of(row["key"]), row)
        except StoreError as error:
            return error

    async def _write(self, write: Write) -> None:
        text, parameters = statement_of(write, self._statements, self.layout)
        status = await self._opened.run(Connection.execute, text, *parameters, may_be_done=always)
        check_outcome(write, status)

    async def _write_together(self, run: Sequence[Write]) -> Sequence[StoreError | None]:
        text, parameters = statement_of_many(run, self._statements, self.layout)
        rows = await self._opened.run(Connection.fetch, text, *parameters, may_be_done=always)
        written = {key_of(name) for (name,) in rows}
        return [
            absent_or_changed(write) if write.is_conditional and write.key not in written else None for write in run
        ]

    def _transaction(self, writes: Sequence[Write]) -> Transaction:
        return Transaction(writes, self._statements, self.layout)

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        return await self.candidates(prefix, limit, cursor, ())

    async def candidates(self, prefix: str, limit: int, cursor: str | None, needed: Needed) -> KeyPage:
        after = () if cursor is None else (name_of(key_before(cursor, prefix)),)
        parameters = (name_of(prefix), limit + 1, *after, *map(patterns_of, needed))
        statement = self._statements.names(is_first=cursor is None, groups=len(needed))
        rows = await self._opened.run(Connection.fetch, statement, *parameters)
        keys = [key_of(name) for (name,) in rows]
        return KeyPage(keys[:limit], cursor_after(keys[limit - 1]) if len(keys) > limit else None)

    async def etags(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        after = () if cursor is None else (name_of(key_before(cursor, prefix)),)
        statement = self._statements.etags(is_first=cursor is None)
        rows = await self._opened.run(Connection.fetch, statement, name_of(prefix), limit + 1, *after)
        entries = [KeyETag(key_of(name), str(etag)) for name, etag in rows]
        return ETagPage(entries[:limit], cursor_after(entries[limit - 1].key) if len(entries) > limit else None)

    async def feed(self, prefix: str, since: str | None = None) -> Feed:
        from .feed import Followed, feed  # most stores are never watched
        from .triggers import Triggers

        pool, settings = self._opened, self._settings
        assert self._connecting is not None
        triggers = Triggers(self._table, self.layout, "TABLE" if settings.hides_tables else self._table)
        followed = Followed(
            connect=self._connecting,
            pool=pool,
            triggers=triggers,
            table=self._table,
            expiring=self._statements.expiring,
            where=self._where,
            timeout=settings.timeout,
        )
        async with aclosing(feed(followed, prefix, since, self.feed_lag_s / 2)) as batches:
            async for batch in batches:
                yield batch


class JsonStore(PostgreSQLStore):
    """Version 1."""

    layout = JsonLayout()


class BytesStore(PostgreSQLStore):
    """Version 2."""

    layout = BytesLayout()


class _CockroachDBStore(PostgreSQLStore):
    """The same over CockroachDB, which speaks PostgreSQL's protocol."""

    title = "CockroachDB"
    changes_by = ChangesBy.POLL
    pool = cockroachdb.CockroachDBPool
    schema = cockroachdb.CockroachDBSchema
    statements = cockroachdb.CockroachDBStatements

    async def candidates(self, prefix: str, limit: int, cursor: str | None, needed: Needed) -> KeyPage:
        # How CockroachDB searches bytes could not be tried.
        return await super().candidates(prefix, limit, cursor, ())


class CockroachDBJsonStore(_CockroachDBStore):
    """Version 1 over CockroachDB."""

    layout = cockroachdb.CockroachDBJsonLayout()


class CockroachDBBytesStore(_CockroachDBStore):
    """Version 2 over CockroachDB."""

    layout = cockroachdb.CockroachDBBytesLayout()
