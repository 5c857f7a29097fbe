"""Takes what a feed reports, until a test has seen enough."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic

import pytest

from pannier_sidecar.state.errors import StoreError, StoreUnavailableError
from pannier_sidecar.state.feeds import UNREAD, Alive, Entry, Gap, KeyChange
from pannier_sidecar.state.polling import feed_of
from pannier_sidecar.state.store import Store

INTERVAL_S = 0.2
"""Of the feeds of stores that are polled."""
PATIENCE_S = 90.0


class Followed:
    """An open feed, and everything that it has reported."""

    def __init__(self, store: Store, prefix: str, since: str | None = None):
        self._feed = feed_of(store, prefix, INTERVAL_S, since)
        self.entries: list[Entry] = []

    async def take(self) -> Sequence[Entry]:
        """Take one batch."""
        async with asyncio.timeout(PATIENCE_S):
            batch = await anext(self._feed)
        self.entries += batch
        return batch

    async def until(self, is_enough: Callable[[Sequence[Entry]], bool]) -> None:
        """Take batches until the entries so far are enough."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_enough(self.entries):
                self.entries += await anext(self._feed)

    async def until_now(self) -> None:
        """Take batches until everything that is complete now has been reported."""
        now = monotonic()
        await self.until(lambda entries: any(isinstance(entry, Alive) and entry.as_of >= now for entry in entries))

    def etags(self, key: str) -> list[str | None]:
        """Return what was reported of a key, in order."""
        return [entry.etag for entry in self.entries if isinstance(entry, KeyChange) and entry.key == key]

    @property
    def has_gap(self) -> bool:
        return any(isinstance(entry, Gap) for entry in self.entries)

    async def close(self) -> None:
        await self._feed.aclose()


@asynccontextmanager
async def followed(store: Store, prefix: str, since: str | None = None) -> AsyncIterator[Followed]:
    """Open a feed, and take its first batch."""
    feed = Followed(store, prefix, since)
    try:
        await feed.take()
        yield feed
    finally:
        await feed.close()


async def end_of(feed: Followed) -> StoreError:
    """Take what comes until the feed ends, and return why it does."""
    with pytest.raises(StoreError) as caught:
        while True:
            await feed.take()
    return caught.value


async def outage_of(feed: Followed) -> str:
    """Return what a feed says when it ends because its server cannot be reached."""
    error = await end_of(feed)
    assert isinstance(error, StoreUnavailableError)
    return str(error)


def reported(feed: Followed) -> list[tuple[str, bool]]:
    """Return what was reported: each key, and whether it is there."""
    return [(entry.key, entry.etag is not None) for entry in feed.entries if isinstance(entry, KeyChange)]


def last_position(feed: Followed) -> str:
    positions = [entry.position for entry in feed.entries if isinstance(entry, KeyChange | Alive)]
    assert positions[-1] is not None
    return positions[-1]


def is_in_order(reported: Sequence[str | None], history: Sequence[str | None]) -> bool:
    """Return whether what was reported of a key is what it has been, in this order; states may be left out or repeated,
    but not the last one. Nothing is reported of a key that came and went unnoticed.
    """
    if not reported:
        return history[-1] is None
    at = 0
    for etag in reported:
        while at < len(history) and etag not in (UNREAD, history[at]):
            at += 1
        if at == len(history):
            return False
    return reported[-1] in (UNREAD, history[-1])
