"""A service over a store in memory that is watched, whose server may fail, be slow, and know positions."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from time import monotonic

from servers.limits import state_limits

from pannier_sidecar.state.bytes_in_flight import Unlimited
from pannier_sidecar.state.directory import Directory, ServedStore
from pannier_sidecar.state.errors import StoreUnavailableError
from pannier_sidecar.state.feeds import UNREAD, Alive, Entry, ETagPage, Feed, Gap, KeyChange
from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.service import StateService
from pannier_sidecar.state.store import KeyPage, StoredValue
from pannier_sidecar.state.watch import Watch
from pannier_sidecar.state.watch_events import Beat, Ready, WatchEvent, WatchRequest
from pannier_sidecar.stores.in_memory import InMemoryStore


class WatchedStore(InMemoryStore):
    """Memory whose feed can break off, and which may answer late."""

    def __init__(self) -> None:
        super().__init__({})
        self.feed_lag_s = 0.02
        self.is_away = False
        self.is_slow = False
        self.is_mute = False
        """Whether its feed leaves out ETags."""
        self.feeds_begun = self.feeds_open = 0
        self.reads = 0

    async def _meet(self) -> None:
        if self.is_slow:
            await asyncio.sleep(random.random() / 300)
        if self.is_away:
            raise StoreUnavailableError("the server is away")

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        await self._meet()
        return await super().keys(prefix, min(limit, 7), cursor)

    async def etags(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        await self._meet()
        page = await super().etags(prefix, limit, cursor)
        await self._meet()
        return page

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | None]:
        await self._meet()
        self.reads += len(gets)
        found = await super().bulk_get(gets)
        await self._meet()
        return found

    async def feed(self, prefix: str, since: str | None = None) -> Feed:
        self.feeds_begun += 1
        self.feeds_open += 1
        inner = super().feed(prefix, since)
        try:
            await self._meet()
            async for batch in inner:
                await self._meet()
                yield [self._muted(entry) for entry in batch]
        finally:
            self.feeds_open -= 1
            await inner.aclose()

    def _muted(self, entry: Entry) -> Entry:
        return KeyChange(entry.key) if self.is_mute and isinstance(entry, KeyChange) else entry


class LoggedStore(WatchedStore):
    """One that has a log of changes, whose places are positions."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[str, str | None]] = []
        self.is_held = False
        """Whether its feed reports nothing for now, and then one change at a time."""
        self.forgotten = 0
        """Changes at the beginning of the log that are not known any more."""

    def _put(self, write: Set) -> None:
        super()._put(write)
        self.log.append((write.key, self._values[write.key].etag))

    def _drop(self, key: str) -> None:
        if key in self._values:
            self.log.append((key, None))
        super()._drop(key)

    async def feed(self, prefix: str, since: str | None = None) -> Feed:
        self.feeds_begun += 1
        at = len(self.log)
        first: list[Entry] = []
        if since is not None and not since.isdigit():
            first = [Gap("no such position")]
        elif since is not None and int(since) < self.forgotten:
            first = [Gap("too old")]
        elif since is not None:
            at = int(since)
        while True:
            await self._meet()
            as_of = monotonic()
            new = [
                KeyChange(key, UNREAD if self.is_mute else etag, str(number))
                for number, (key, etag) in enumerate(self.log[at:], at + 1)
                if key.startswith(prefix)
            ]
            at = len(self.log)
            if self.is_held:
                while self.is_held:
                    await asyncio.sleep(0.001)
                for entry in new:
                    yield [entry]
            yield [*first, *new, Alive(as_of, str(at))]
            first = []
            await asyncio.sleep(self.feed_lag_s)


class Watched:
    """A service over such a store."""

    def __init__(self, store: WatchedStore | None = None):
        self.store = store or WatchedStore()
        self.budget = Unlimited()
        self.served = ServedStore("s", "state.test", "v1", self.store, KeyScheme(store="s", app_id="app"))
        self.service = StateService(Directory("app", [self.served]), _Nobody(), state_limits(), self.budget)

    async def set(self, key: str, value: bytes = b"1") -> str:
        """Write a key of the app and return its ETag."""
        await self.store.set(Set(f"app||{key}", value))
        return self.store._values[f"app||{key}"].etag

    async def delete(self, key: str) -> None:
        await self.store.delete(Delete(f"app||{key}"))

    async def exchange(self, store: WatchedStore) -> None:
        """Serve another store under the name."""
        await store.open()
        self.store = store
        self.served = ServedStore("s", "state.test", "v1", store, KeyScheme(store="s", app_id="app"))
        self.service.serve(Directory("app", [self.served]))


class _Nobody:
    def call_ended(self, *_: object) -> None:
        pass


def asked(prefix: str = "", since: str | None = None, *, values: bool = False) -> WatchRequest:
    return WatchRequest(None, prefix, since, values)


async def take(watch: Watch, number: int) -> list[WatchEvent]:
    """Take so many events, but for beats."""
    events: list[WatchEvent] = []
    async with asyncio.timeout(60):
        while len(events) < number:
            event = await anext(watch)
            if not isinstance(event, Beat):
                events.append(event)
    return events


async def until_ready(watch: Watch) -> list[WatchEvent]:
    """Take events up to Ready."""
    events = await take(watch, 1)
    while not isinstance(events[-1], Ready):
        events += await take(watch, 1)
    return events
