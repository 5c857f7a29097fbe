"""The store: each call becomes a job for the writing or the reading thread."""

from __future__ import annotations

from functools import partial
from time import time
from typing import TYPE_CHECKING

from pannier_sidecar.state.cursors import cursor_after, etag_page, key_before
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreUnavailableError
from pannier_sidecar.state.feeds import ChangesBy
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.store import Completion, Feature, KeyPage, Setting, Store, StoredValue, key_page

from .begun import Begun
from .expiry_sweeper import ROWS_AT_ONCE, ExpirySweeper
from .layout import StateTable
from .schema import connect_reader, connect_writer
from .settings import read_settings
from .worker import Job, Result, Worker

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AsyncExitStack

    from pannier_sidecar.state.feeds import ETagPage
    from pannier_sidecar.state.prefilter import Needed

    Late = type[StoreUnavailableError] | type[OutcomeUnknownError]


class SQLiteStore(Store):
    """State in one SQLite file, which other processes, Dapr's sidecar among them, may use at the same time."""

    features = frozenset(Feature)
    changes_by = ChangesBy.POLL
    keeps_expiry = True

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings (canonical names, durations in seconds); connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._writer: Worker | None = None
        self._reader: Worker | None = None
        self._sweeper: ExpirySweeper | None = None

    async def _open(self, resources: AsyncExitStack) -> None:
        settings = self._settings
        where = settings.location

        def worker(name: str, connect: Callable[[], StateTable], begin: str, late: Late) -> Worker:
            return Worker(
                f"sqlite-{name}",
                connect,
                begin,
                where=where,
                timeout=settings.timeout,
                busy_timeout=settings.busy_timeout,
                late=late,
            )

        begin = "BEGIN" if where.is_read_only else "BEGIN IMMEDIATE"
        self._writer = worker("writer", partial(connect_writer, settings), begin, OutcomeUnknownError)
        resources.push_async_callback(self._writer.stop)
        await self._writer.start()
        if where.is_in_memory:
            self._reader = self._writer  # the database belongs to its one connection
        else:
            self._reader = worker("reader", partial(connect_reader, settings), "BEGIN", StoreUnavailableError)
            resources.push_async_callback(self._reader.stop)
            await self._reader.start()
        interval = 0 if where.is_read_only else settings.cleanup_interval
        self._sweeper = ExpirySweeper(self._sweep, interval, where)
        resources.push_async_callback(self._sweeper.stop)
        if interval:
            self._sweeper.expects(await self._read(StateTable.first_expiry))

    async def ping(self) -> None:
        await self._read(StateTable.probe)

    async def probe(self) -> None:
        """Return at once: a file can always be reached, even if it is locked for a moment."""

    async def get(self, get: Get) -> StoredValue | None:
        return await self._read(partial(StateTable.get, key=get.key))

    def begin_get(self, get: Get, completion: Completion[StoredValue | None]) -> None:
        if self._reader is not None:
            try:
                self._reader.submit_for(Begun(completion), partial(StateTable.get, key=get.key))
                return
            except StoreError:  # `get` raises it too
                pass
        completion.resume(self.get(get))

    async def set(self, write: Set) -> None:
        await self._write(partial(StateTable.write, write=write))
        self._expects(write)

    async def delete(self, write: Delete) -> None:
        await self._write(partial(StateTable.write, write=write))

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        keys = [get.key for get in gets]
        return await self._read(partial(StateTable.get_many, keys=keys))

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        try:
            errors = await self._write(partial(StateTable.write_each, writes=writes))
        except StoreError as error:
            return [error] * len(writes)
        self._expects(*writes)
        return errors

    async def transact(self, writes: Sequence[Write]) -> None:
        await self._write(partial(StateTable.write_all, writes=writes))
        self._expects(*writes)

    async def candidates(self, prefix: str, limit: int, cursor: str | None, needed: Needed) -> KeyPage:
        after = None if cursor is None else key_before(cursor, prefix)
        job = partial(StateTable.candidates, prefix=prefix, after=after, limit=limit, needed=needed)
        keys, last = await self._read(job)
        return KeyPage(keys, None if last is None else cursor_after(last))

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        return key_page(await self.etags(prefix, limit, cursor))

    async def etags(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        after = None if cursor is None else key_before(cursor, prefix)
        found = await self._read(partial(StateTable.etags, prefix=prefix, after=after, limit=limit + 1))
        return etag_page(found, limit)

    async def change_mark(self) -> object:
        return await self._read(StateTable.change_mark)

    def _read(self, job: Job[Result]) -> Future[Result]:
        if self._reader is None:
            raise StoreUnavailableError("the database is not open")
        return self._reader.submit(job)

    def _write(self, job: Job[Result]) -> Future[Result]:
        if self._writer is None:
            raise StoreUnavailableError("the database is not open")
        return self._writer.submit(job)

    def _expects(self, *writes: Write) -> None:
        for write in writes:
            if isinstance(write, Set) and write.ttl is not None and self._sweeper is not None:
                self._sweeper.expects(time() + write.ttl)

    async def _sweep(self) -> float | None:
        while True:
            has_more, following = await self._write(partial(StateTable.sweep, limit=ROWS_AT_ONCE))
            if not has_more:
                return following
