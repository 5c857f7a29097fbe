"""The feeds of a store whose changes are all made in this process: the store reports each one here."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from .errors import StoreUnavailableError
from .feeds import Alive, Gap, KeyChange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .feeds import Entry, Feed

MAX_WAITING: Final = 10_000
"""Maximum of keys whose changes wait to be taken from one feed; beyond it, the feed has a gap."""
_UNKNOWN_POSITION: Final = "this store does not know what has changed since then"


class LocalFeeds:
    """The open feeds of one store."""

    def __init__(self) -> None:
        self._open: set[_Waiting] = set()
        self._is_closed = False

    def report(self, key: str, etag: str | None) -> None:
        """Report a change to each feed that the key belongs to; None: the key is gone."""
        for waiting in self._open:
            waiting.add(key, etag)

    def close(self) -> None:
        """End all feeds: the store is closed."""
        self._is_closed = True
        for waiting in self._open:
            waiting.wake()

    async def follow(self, prefix: str, since: str | None, lag_s: float) -> Feed:
        """Yield the changes of keys with the prefix, as `Store.feed` does, until the store is closed."""
        waiting = _Waiting(prefix)
        self._open.add(waiting)
        try:
            if not self._is_closed:
                yield [Alive(monotonic())] if since is None else [Gap(_UNKNOWN_POSITION), Alive(monotonic())]
            while not self._is_closed:
                await waiting.wait(lag_s)
                yield waiting.take()
            raise StoreUnavailableError("the store was closed")
        finally:
            self._open.discard(waiting)


class _Waiting:
    """The changes that one feed has not yielded yet: the last one of each key."""

    __slots__ = ("_changes", "_has_gap", "_prefix", "_wakened")

    def __init__(self, prefix: str):
        self._prefix = prefix
        self._changes: dict[str, str | None] = {}
        self._has_gap = False
        self._wakened = asyncio.Event()

    def add(self, key: str, etag: str | None) -> None:
        if self._has_gap or not key.startswith(self._prefix):
            return
        if len(self._changes) >= MAX_WAITING and key not in self._changes:
            self._changes.clear()
            self._has_gap = True
        else:
            self._changes[key] = etag
        self._wakened.set()

    def wake(self) -> None:
        self._wakened.set()

    async def wait(self, seconds: float) -> None:
        """Wait for a change, or until the seconds have passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wakened.wait()

    def take(self) -> Sequence[Entry]:
        self._wakened.clear()
        entries: list[Entry] = [KeyChange(key, etag) for key, etag in self._changes.items()]
        if self._has_gap:
            entries.append(Gap(f"over {MAX_WAITING:,} keys changed before their changes were taken"))
        self._changes.clear()
        self._has_gap = False
        entries.append(Alive(monotonic()))
        return entries
