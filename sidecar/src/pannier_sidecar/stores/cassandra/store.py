"""The store: which statements each call sends, and what the answers mean."""

from __future__ import annotations

import asyncio
import random
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from pannier_sidecar.network.reconnecting import too_busy
from pannier_sidecar.state.cursors import etag_page, key_before
from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.feeds import ChangesBy, ETagPage, KeyETag
from pannier_sidecar.state.preconditions import absent_or_changed
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.store import Feature, KeyPage, Store, StoredValue, key_page, or_error

from . import client, errors, layout, schema
from .frames import ProtocolViolationError
from .key_locks import KeyLocks
from .settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AsyncExitStack

    from cassandra.cluster import Session

    from pannier_sidecar.state.store import Setting

    from .client import Row
    from .layout import Statements

AT_ONCE: Final = 64
"""Maximum number of statements of one bulk call that are in flight together."""
MAX_IN_FLIGHT: Final = 30_000
"""Maximum for all calls. From 32,767 on the driver blocks the event loop until one of them is answered."""
LISTED_AT_ONCE: Final = 500
"""Maximum number of keys in one answer: even with the longest keys, it is not too large."""
MAX_TTL: Final = 20 * 365 * 24 * 3600 - 1
"""Cassandra's limit, less the second that is added to every TTL."""


class CassandraStore(Store):
    """State in one table of Cassandra. No transactions: Cassandra has none that span several keys."""

    features = frozenset({Feature.ETAG, Feature.TTL, Feature.KEYS_LIKE})
    changes_by = ChangesBy.POLL
    max_key_bytes = 65535

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings (canonical names, durations in seconds); connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._key_locks = KeyLocks(self._settings.timeout)
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        # ETags are numbers from a random start, so that they repeat neither those of an earlier run nor those of
        # another sidecar. Below 2^53 they survive clients that put them into JSON without quotes.
        self._etags = count(random.randrange(1, 2**52))
        self._session: Session | None = None
        self._prepared: Statements | None = None
        self._ending: asyncio.Task[None] | None = None

    async def _open(self, resources: AsyncExitStack) -> None:
        connections = ExitStack()
        connecting = asyncio.create_task(asyncio.to_thread(self._connect, connections))
        resources.push_async_callback(self._disconnect, connecting, connections)
        try:
            self._session, self._prepared = await asyncio.shield(connecting)
        except errors.CLIENT_ERRORS as error:
            raise errors.translate(error, self._settings, is_write=False) from error

    def _connect(self, connections: ExitStack) -> tuple[Session, Statements]:
        try:
            session = client.connect(self._settings, connections)
            schema.ensure(session, self._settings)
            client.learn_replicas(session, self._settings.keyspace)
            return session, layout.prepare(session, self._settings.name)
        except (*errors.CLIENT_ERRORS, StoreError):
            raise
        except Exception as error:  # of any kind: the driver does not expect every answer
            raise ProtocolViolationError(f"an answer to another request ({error!r})") from error

    async def _disconnect(self, connecting: asyncio.Task[Any], connections: ExitStack) -> None:
        self._session = self._prepared = None

        async def end() -> None:
            await asyncio.wait([connecting])
            connecting.exception()  # `open` has raised it, if its caller waited
            await asyncio.to_thread(connections.close)

        # The thread that makes a session cannot be stopped, so this waits for it, even when the caller no longer does.
        self._ending = asyncio.create_task(end())
        await asyncio.shield(self._ending)

    async def ping(self) -> None:
        await self.get(Get("pannier||ping"))

    async def probe(self) -> None:
        """Return if any node answers: the replicas of one key may be away while those of others are there."""
        session = self._session
        if session is None:
            raise StoreUnavailableError("the Cassandra store is not open, or closed")
        try:
            await client.execute(session, layout.PROBE, _nothing)
        except errors.CLIENT_ERRORS as error:
            raise errors.translate(error, self._settings, is_write=False) from error

    async def get(self, get: Get) -> StoredValue | None:
        return layout.stored_value(await self._read(get))

    async def set(self, write: Set) -> None:
        ttl = _native_ttl(write)
        values = [ttl, write.value, str(next(self._etags)), write.key]
        prepared = self._opened()
        if write.if_absent:
            await self._write(write, prepared.set_if_absent, values)
        elif write.if_match is None:
            await self._write(write, prepared.set, values)
        elif write.if_match.startswith(layout.FOREIGN):
            await self._write(write, prepared.set_if_same, values, if_same=True)
        else:
            await self._write(write, prepared.set_if_etag, [*values, write.if_match])

    async def delete(self, write: Delete) -> None:
        prepared = self._opened()
        if write.if_absent:
            if await self.get(Get(write.key, strong=True)) is not None:
                raise absent_or_changed(write)
        elif write.if_match is None:
            await self._write(write, prepared.delete, [write.key])
        elif write.if_match.startswith(layout.FOREIGN):
            await self._write(write, prepared.delete_if_same, [write.key], if_same=True)
        else:
            await self._write(write, prepared.delete_if_etag, [write.key, write.if_match])

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        places = asyncio.Semaphore(AT_ONCE)

        async def entry(get: Get) -> StoredValue | StoreError | None:
            async with places:
                return await or_error(self.get(get))

        self._opened()
        return await asyncio.gather(*map(entry, gets))

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        """Carry out the writes concurrently, but those to one key in their order."""
        places = asyncio.Semaphore(AT_ONCE)
        results: list[StoreError | None] = [None] * len(writes)
        by_key: dict[str, list[int]] = {}
        for place, write in enumerate(writes):
            by_key.setdefault(write.key, []).append(place)

        async def write_in_order(of_one_key: Sequence[int]) -> None:
            async with places:
                for place in of_one_key:
                    write = writes[place]
                    results[place] = await or_error(self.set(write) if isinstance(write, Set) else self.delete(write))

        await asyncio.gather(*map(write_in_order, by_key.values()))
        return results

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        return key_page(await self._list(prefix, limit, cursor, self._settings.levels.read))

    async def etags(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        return await self._list(prefix, limit, cursor, self._settings.levels.listing)

    async def _list(self, prefix: str, limit: int, cursor: str | None, level: int) -> ETagPage:
        """List in the order of tokens, the only one that Cassandra has. So listing a prefix reads the whole table."""
        prepared = self._opened()
        page: list[KeyETag] = []
        after = None if cursor is None else key_before(cursor, prefix)
        while True:
            statement, values = (
                (prepared.first_keys, [LISTED_AT_ONCE])
                if after is None
                else (prepared.next_keys, [after, LISTED_AT_ONCE])
            )
            rows: Any = await self._execute(statement, values, level, layout.KEY)
            for key, *of_etag in rows:
                if of_etag[1] is not None and key.startswith(prefix):
                    page.append(KeyETag(key, layout.etag_of(*of_etag)))
            if len(page) > limit:
                return etag_page(page, limit)
            if len(rows) < LISTED_AT_ONCE:
                return ETagPage(page, None)
            after = rows[-1][0]

    def _opened(self) -> Statements:
        if self._prepared is None:
            raise StoreUnavailableError("the Cassandra store is not open, or closed")
        return self._prepared

    async def _read(self, get: Get) -> Any:
        levels = self._settings.levels
        level = levels.serial if get.strong else levels.read
        rows = await self._execute(self._opened().get, [get.key], level, layout.VALUE)
        return rows[0] if rows else None

    async def _write(self, write: Write, statement: Any, values: list[Any], *, if_same: bool = False) -> None:
        """Carry out a write. Raises ETagMismatchError if its condition does not hold."""
        levels = self._settings.levels
        async with self._key_locks.of(write.key):
            if if_same:
                values = [*values, *await self._read_for_comparison(write)]
            level = levels.strong_commit if write.strong else levels.commit
            rows = await self._execute(statement, values, level, layout.APPLIED)
        if write.is_conditional and not rows[0][0]:
            raise absent_or_changed(write)

    async def _read_for_comparison(self, write: Write) -> tuple[bytes, str | None]:
        """Return value and ETag column of a row that another program wrote, if it has the ETag that the write expects.

        No condition can compare the time of a write, so the server compares what was read here. Raises
        ETagMismatchError.
        """
        row = await self._read(Get(write.key, strong=True))
        found = layout.stored_value(row)
        if found is None or found.etag != write.if_match:
            raise absent_or_changed(write)
        return found.value, row[1]

    async def _execute(self, statement: Any, values: list[Any], level: int, types: layout.Types) -> list[Row]:
        session = self._session
        if session is None:
            raise StoreUnavailableError("the Cassandra store is not open, or closed")
        bound = statement.bind(values)
        bound.consistency_level, bound.serial_consistency_level = level, self._settings.levels.serial
        await self._take_slot()
        try:
            # A call that is given up keeps its slot until the driver has finished it.
            rows = await client.execute(session, bound, self._slots.release)
            layout.check_rows(rows, types)
        except errors.CLIENT_ERRORS as error:
            is_write = types is layout.APPLIED
            raise errors.translate(error, self._settings, is_write=is_write, level=level) from error
        return rows

    async def _take_slot(self) -> None:
        if not self._slots.locked():
            await self._slots.acquire()
            return
        try:
            async with asyncio.timeout(self._settings.timeout):
                await self._slots.acquire()
        except TimeoutError:
            raise too_busy(self._settings.where) from None


def _nothing() -> None:
    """Do nothing at the end of a call that took no slot."""


def _native_ttl(write: Set) -> int:
    """Return the TTL in seconds, 0 for never. A second is added, because Cassandra counts from the last
    whole second.
    """
    if write.ttl is None:
        return 0
    if write.ttl > MAX_TTL:
        raise StoreRefusedError(
            f"ttlInSeconds {write.ttl} of key {write.key} is too long: Cassandra takes {MAX_TTL} seconds "
            "(20 years); write a smaller one, or -1 for a value that stays"
        )
    return write.ttl + 1
