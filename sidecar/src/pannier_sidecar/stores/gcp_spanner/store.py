"""The store: each call as reads and commits of Spanner's API."""

from __future__ import annotations

import asyncio
import random
from time import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pannier_sidecar.network.answers import read_in_parts
from pannier_sidecar.state.cursors import cursor_after, key_before
from pannier_sidecar.state.errors import ETagMismatchError, StoreError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.feeds import ChangesBy, ETagPage, KeyETag
from pannier_sidecar.state.preconditions import mismatch
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.store import Feature, KeyPage, Setting, Store, StoredValue, key_page, or_error

from . import layout
from .client import Client
from .errors import AbortedError, SessionLostError
from .sessions import Sessions
from .settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AsyncExitStack

    from .layout import Condition, Row

Result = TypeVar("Result")

MAX_VALUE: Final = 10 * 1024 * 1024
"""Bytes in a column: Spanner's limit."""
MAX_MUTATIONS: Final = 80_000
"""Columns that one commit may write, counted in each row: Spanner's limit."""
AT_ONCE: Final = 16
"""Maximum number of writes of one bulk call that are in flight together."""
FIRST_PAUSE: Final = 0.002
MAX_PAUSE: Final = 0.25
"""Seconds before a transaction that Spanner aborted is tried again."""


class SpannerStore(Store):
    """State in a table of Spanner. Every read is a strong one."""

    features = frozenset(Feature)
    keeps_expiry = True
    changes_by = ChangesBy.POLL
    max_key_bytes = 8000  # Spanner takes 8 KiB with its own overhead
    max_transaction = MAX_MUTATIONS // len(layout.COLUMNS)

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings (canonical names, durations in seconds); connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._client = Client(self._settings)
        self._sessions = Sessions(self._client, self._settings.max_sessions)

    async def _open(self, resources: AsyncExitStack) -> None:
        resources.push_async_callback(self._client.close)
        await self._client.connect()
        resources.push_async_callback(self._sessions.close)
        await self.ping()

    async def ping(self) -> None:
        await self._rows(layout.COLUMNS, ["ping"])

    async def get(self, get: Get) -> StoredValue | None:
        found = await self._rows(layout.COLUMNS, [get.key])
        return layout.stored_value(found[0], time()) if found else None

    async def set(self, write: Set) -> None:
        _check_size(write)
        await self._write([write])

    async def delete(self, write: Delete) -> None:
        await self._write([write])

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        if not gets:
            return []
        keys = list(dict.fromkeys(get.key for get in gets))
        found = await read_in_parts(lambda some: self._rows(layout.COLUMNS, some), keys)
        now = time()
        values = {row[0]: layout.stored_value(row, now) for rows in found for row in rows}
        return [values.get(get.key) for get in gets]

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        """Carry out the writes concurrently, but those to one key in their order."""
        errors: list[StoreError | None] = [None] * len(writes)
        places: dict[str, list[int]] = {}
        for place, write in enumerate(writes):
            places.setdefault(write.key, []).append(place)
        room = asyncio.Semaphore(AT_ONCE)

        async def write_in_order(of_one_key: Sequence[int]) -> None:
            async with room:
                for place in of_one_key:
                    write = writes[place]
                    errors[place] = await or_error(self.set(write) if isinstance(write, Set) else self.delete(write))

        async with asyncio.TaskGroup() as group:
            for of_one_key in places.values():
                group.create_task(write_in_order(of_one_key))
        return errors

    async def transact(self, writes: Sequence[Write]) -> None:
        for write in writes:
            if isinstance(write, Set):
                _check_size(write)
        if writes:
            await self._write(writes)

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        return key_page(await self.etags(prefix, limit, cursor))

    async def etags(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        after = None if cursor is None else key_before(cursor, prefix)
        page: list[KeyETag] = []
        while True:
            found = await self._list(prefix, after, limit + 1)
            now = time()
            for row in found:
                if len(page) == limit:
                    return ETagPage(page, cursor_after(page[-1].key))
                after, condition = row[0], layout.condition(row)
                if after is not None and condition.is_present(now):
                    page.append(KeyETag(after, condition.etag))
            if len(found) <= limit:
                return ETagPage(page, None)

    async def _rows(self, columns: Sequence[str], keys: Sequence[str]) -> list[Row]:
        async def read(session: str, deadline: float) -> list[Row]:
            request = layout.read(session, self._settings.table, columns, keys)
            return (await self._client.read(request, len(columns), deadline))[0]

        return await self._in_session(read)

    async def _list(self, prefix: str, after: str | None, limit: int) -> list[Row]:
        async def read(session: str, deadline: float) -> list[Row]:
            request = layout.listing(session, self._settings.table, prefix, after, limit)
            return (await self._client.read(request, len(layout.CONDITION_COLUMNS), deadline))[0]

        return await self._in_session(read)

    async def _write(self, writes: Sequence[Write]) -> None:
        """Carry out all writes or none. If Spanner aborts the transaction, it is retried until the timeout."""

        async def write(session: str, deadline: float) -> None:
            pause = FIRST_PAUSE
            while True:
                try:
                    return await self._attempt(session, writes, deadline)
                except AbortedError as aborted:
                    left = deadline - asyncio.get_running_loop().time()
                    if left <= pause:
                        text = f"others changed the same keys for {self._settings.timeout:g} s (timeout): {aborted}"
                        raise StoreUnavailableError(text) from aborted
                await asyncio.sleep(random.uniform(0.5, 1.0) * pause)
                pause = min(pause * 2, MAX_PAUSE)

        await self._in_session(write)

    async def _attempt(self, session: str, writes: Sequence[Write], deadline: float) -> None:
        table = self._settings.table
        conditional = list(dict.fromkeys(write.key for write in writes if write.is_conditional))
        transaction = None
        if conditional:
            request = layout.locking_read(session, table, conditional)
            found, transaction = await self._client.read(request, len(layout.CONDITION_COLUMNS), deadline)
            seen = {row[0]: layout.condition(row) for row in found}
            error = _mismatch(writes, seen, time())
            if error is not None:
                await self._roll_back(session, transaction, deadline)
                raise error
        await self._client.commit(layout.commit(session, table, writes, time(), transaction), deadline)

    async def _roll_back(self, session: str, transaction: bytes, deadline: float) -> None:
        try:
            await self._client.rollback(session, transaction, deadline)
        except (StoreError, AbortedError):
            return  # its locks are released when the session is used again, or after ten seconds

    async def _in_session(self, call: Callable[[str, float], Awaitable[Result]]) -> Result:
        """Make a call on a session, and again on a new one if the session turns out to have ended."""
        deadline = asyncio.get_running_loop().time() + self._settings.timeout
        if not self._client.is_open:
            raise StoreUnavailableError("Spanner: the store is not open")
        try:
            async with self._sessions.session(deadline) as session:
                return await call(session, deadline)
        except SessionLostError:
            pass
        try:
            async with self._sessions.session(deadline) as session:
                return await call(session, deadline)
        except SessionLostError as lost:
            raise StoreUnavailableError(f"Spanner loses its sessions: {lost}") from lost


def _check_size(write: Set) -> None:
    if len(write.value) > MAX_VALUE:
        raise StoreRefusedError(
            f"the value of key {write.key} is too large: it has {len(write.value)} bytes, and Spanner takes "
            f"{MAX_VALUE}; divide it"
        )


def _mismatch(writes: Sequence[Write], seen: Mapping[Any, Condition], now: float) -> ETagMismatchError | None:
    """Return the error of the first precondition that does not hold; None if all hold."""
    for write in writes:
        there = seen.get(write.key)
        if error := mismatch(write, there.etag if there is not None and there.is_present(now) else None):
            return error
    return None
