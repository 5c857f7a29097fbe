"""The feed of a store that does not report changes: all ETags are read again from time to time, and compared."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final

from .errors import StoreRefusedError
from .feeds import Alive, ChangesBy, Gap, KeyChange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .feeds import Entry, Feed
    from .store import Store

MAX_KEYS: Final = 100_000
"""Maximum of keys that are compared: each is held with its ETag for as long as the feed is open."""
PAGE: Final = 1000
"""Keys that the store is asked for at once."""
MARK_INTERVAL_S: Final = 0.03
"""Seconds between two reads of a store's mark: in SQLite some 50 us each."""
REST: Final = 4
"""How many times as long as it took to read all ETags they are not read again, even if something has changed."""
BATCH: Final = 1000
"""Maximum of changes in one batch of the feed."""
_UNKNOWN_POSITION: Final = "a store that is polled does not know what has changed since then"


def feed_of(store: Store, prefix: str, interval_s: float, since: str | None = None) -> Feed:
    """Return a feed of the stored keys with the prefix: the store's own or, if it has none, one that polls at this
    interval. The feed raises NotSupportedError if the store has neither.
    """
    if store.changes_by is ChangesBy.POLL:
        return _poll(store, prefix, interval_s, since)
    return store.feed(prefix, since)


def lag_of(store: Store, interval_s: float) -> float:
    """Return how many seconds may pass between two `Alive` of `feed_of`, apart from what the database needs."""
    return interval_s if store.changes_by is ChangesBy.POLL else store.feed_lag_s


async def _poll(store: Store, prefix: str, interval_s: float, since: str | None) -> Feed:
    mark = await store.change_mark()
    began = monotonic()
    before = await _read_all(store, prefix)
    yield [Alive(began)] if since is None else [Gap(_UNKNOWN_POSITION), Alive(began)]
    while True:
        took = monotonic() - began
        pause = max(interval_s - took, min(took, interval_s))
        rest = min(REST * took, pause)
        await asyncio.sleep(rest)
        await _wait_for_another(mark, store, pause - rest)
        mark = await store.change_mark()
        began = monotonic()
        now = await _read_all(store, prefix)
        batch: list[Entry] = []
        for key, etag in differences(before, now):
            batch.append(KeyChange(key, etag))
            if len(batch) == BATCH:
                yield batch
                batch = []
        before = now
        yield [*batch, Alive(began)]


async def _wait_for_another(mark: object, store: Store, seconds: float) -> None:
    """Return when the store has another mark, at the latest after so many seconds."""
    if mark is None:
        await asyncio.sleep(seconds)
        return
    deadline = monotonic() + seconds
    while (remaining := deadline - monotonic()) > 0:
        if await store.change_mark() != mark:
            return
        await asyncio.sleep(min(MARK_INTERVAL_S, remaining))


async def _read_all(store: Store, prefix: str) -> Mapping[str, str]:
    """Return the ETag of each key with the prefix. Raises StoreRefusedError if they are too many."""
    found: dict[str, str] = {}
    cursor = None
    while True:
        page = await store.etags(prefix, PAGE, cursor)
        for entry in page.entries:
            found[entry.key] = entry.etag
        if len(found) > MAX_KEYS:
            raise too_many_keys()
        if page.cursor is None:
            return found
        cursor = page.cursor
        await asyncio.sleep(0)  # a store in memory never waits, so let other calls have their turn


def too_many_keys() -> StoreRefusedError:
    """Return the error for keys that are too many to be compared."""
    return StoreRefusedError(
        f"changes are found by comparing all keys, and there are over {MAX_KEYS:,}; keep the keys to be watched "
        "in a component with another keyPrefix, or in a store that reports changes itself"
    )


def differences(before: Mapping[str, str | None], now: Mapping[str, str | None]) -> Iterator[tuple[str, str | None]]:
    """Yield each key that has another ETag than before. None counts as gone, as does a key that is not there."""
    for key, etag in now.items():
        if before.get(key) != etag:
            yield key, etag
    for key, etag in before.items():
        if etag is not None and key not in now:
            yield key, None
