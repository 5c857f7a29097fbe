"""A copy of the ETags under a prefix, which follows a store's feed through outages, as a cache or a watch does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from time import monotonic

from servers.eventually import LIMIT_S

from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.state.feeds import Alive, Gap, KeyChange
from pannier_sidecar.state.polling import feed_of
from pannier_sidecar.state.requests import Get
from pannier_sidecar.state.store import Store

INTERVAL_S = 0.2
PAUSE_S = 0.02


class Mirror:
    """Begins a feed again whenever one has ended, and reads everything again after that and after a gap."""

    def __init__(self, store: Store, prefix: str):
        self.etags: dict[str, str] = {}
        self.as_of = 0.0
        """Time of `time.monotonic` up to which the copy is complete."""
        self.begun = 0
        """How many feeds have begun to report."""
        self.gaps: list[str] = []
        """The reasons of gaps, and of feeds that have ended."""
        self._store = store
        self._prefix = prefix

    async def until_now(self, limit_s: float = 2 * LIMIT_S) -> None:
        """Wait until the copy has everything that is complete now."""
        now = monotonic()
        async with asyncio.timeout(limit_s):
            while self.as_of < now:
                await asyncio.sleep(0.01)

    async def follow(self) -> None:
        while True:
            try:
                async with aclosing(feed_of(self._store, self._prefix, INTERVAL_S)) as feed:
                    begins = True
                    async for batch in feed:
                        for entry in batch:
                            if begins:
                                await self._read_all()
                                self.begun, begins = self.begun + 1, False
                            await self._take(entry)
            except StoreError as error:
                self.gaps.append(str(error))
                await asyncio.sleep(PAUSE_S)

    async def _take(self, entry: KeyChange | Gap | Alive) -> None:
        if isinstance(entry, Alive):
            self.as_of = entry.as_of
        elif isinstance(entry, Gap):
            self.gaps.append(entry.reason)
            await self._read_all()
        else:
            await self._read(entry.key)

    async def _read_all(self) -> None:
        found = await etags_of(self._store, self._prefix)
        self.etags.clear()
        self.etags.update(found)

    async def _read(self, key: str) -> None:
        found = await self._store.get(Get(key, strong=True))
        if found is None:
            self.etags.pop(key, None)
        else:
            self.etags[key] = found.etag


@asynccontextmanager
async def mirrored(store: Store, prefix: str) -> AsyncIterator[Mirror]:
    """Keep a copy while the block runs, from when it is complete."""
    mirror = Mirror(store, prefix)
    following = asyncio.create_task(mirror.follow())
    try:
        await mirror.until_now()
        yield mirror
    finally:
        following.cancel()
        await asyncio.wait((following,))


async def etags_of(store: Store, prefix: str) -> dict[str, str]:
    """Return the ETag of each key with the prefix."""
    found: dict[str, str] = {}
    cursor = None
    while True:
        page = await store.etags(prefix, 100, cursor)
        found.update({entry.key: entry.etag for entry in page.entries})
        cursor = page.cursor
        if cursor is None:
            return found
