"""Sidecars' caches over one database that is slow, and whose feeds are late and break off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from servers.cache_history import CachedStore
from servers.eventually import until

from pannier_sidecar.state.delegating_store import DelegatingStore
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreUnavailableError
from pannier_sidecar.state.feeds import UNREAD, Entry, Feed, Gap, KeyChange
from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.store import KeyPage, StoredValue
from pannier_sidecar.stores.in_memory import InMemoryStore

KEYS = KeyScheme(store="s", app_id="app")


class Away(DelegatingStore):
    """One sidecar's way to the database: slow, and its eventual reads may be answered by a replica that is behind."""

    def __init__(self, inner: InMemoryStore):
        super().__init__(inner)
        self.is_cut = False
        self.reads = 0
        self._replica: dict[str, StoredValue | None] = {}

    async def _pause(self) -> None:
        await asyncio.sleep(random.choice((0, 0, random.random() / 200)))

    async def get(self, get: Get) -> StoredValue | None:
        self.reads += 1
        await self._pause()
        found = await self.inner.get(get)
        if not get.strong and get.key in self._replica and random.random() < 0.5:
            found = self._replica[get.key]
        self._replica[get.key] = found
        await self._pause()
        if random.random() < 0.03:
            await asyncio.sleep(random.random() / 5)  # its answer comes after much else
        return found

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        return [await self.get(get) for get in gets]

    async def set(self, write: Set) -> None:
        await self._carry_out(write)

    async def delete(self, write: Delete) -> None:
        await self._carry_out(write)

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        raise NotImplementedError

    async def transact(self, writes: Sequence[Write]) -> None:
        for write in writes:
            await self._carry_out(write)

    async def _carry_out(self, write: Write) -> None:
        await self._pause()
        fate = random.random()
        if fate < 0.02:
            raise OutcomeUnknownError("lost before it happened")
        if fate < 0.04:
            asyncio.get_running_loop().call_later(random.random() / 50, self._write, write)
            raise OutcomeUnknownError("lost, and it happens later")
        self._write(write)
        await self._pause()
        if fate < 0.06:
            raise OutcomeUnknownError("lost after it happened")

    def _write(self, write: Write) -> None:
        self.inner._try(write)  # type: ignore[attr-defined]

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        return await self.inner.keys(prefix, limit, cursor)

    async def feed(self, prefix: str, since: str | None = None) -> Feed:
        if self.is_cut:
            raise StoreUnavailableError("the feed is cut")
        inner = self.inner.feed(prefix, since)
        try:
            async for batch in inner:
                await self._pause()
                if self.is_cut:
                    raise StoreUnavailableError("the feed is cut")
                yield [_muted(entry) for entry in batch]
                if random.random() < 0.001:
                    yield [Gap("something was lost")]
        finally:
            await inner.aclose()


def _muted(entry: Entry) -> Entry:
    return KeyChange(entry.key, UNREAD) if isinstance(entry, KeyChange) and random.random() < 0.3 else entry


class Sidecar(CachedStore):
    """One sidecar's cache over the database."""

    def __init__(self, database: InMemoryStore, *, max_bytes: int = 2**20, bound_s: float = 0.5):
        self.away = Away(database)
        super().__init__(self.away, KEYS, max_bytes=max_bytes, bound_s=bound_s)

    async def until_proven(self) -> None:
        await until(lambda: self.is_proven)
