"""What was reported of one feed's keys and nobody has taken yet: the last change of each key, bounded.

Those who know of changes fill it; the feed takes from it. So a slow consumer makes no queue grow: it misses states that
were replaced meanwhile or, beyond the bounds, gets a gap.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from .errors import StoreError
from .feeds import UNREAD, Alive, Gap, KeyChange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .feeds import Entry, Feed

MAX_KEYS: Final = 10_000
MAX_LENGTH: Final = 2 * 1024 * 1024
"""Characters in the keys that wait."""
_TOO_MANY: Final = "more keys changed than could wait to be taken"


class PushedChanges:
    """The changes of one feed that wait, and what is known of its connection."""

    def __init__(self) -> None:
        self._changes: dict[str, str | None] = {}
        self._length = 0
        self._gap: Gap | None = None
        self._alive: Alive | None = None
        self._end: StoreError | None = None
        self._has_news = asyncio.Event()

    def add(self, key: str, etag: str | None = UNREAD) -> None:
        """Report a change of a stored key; `etag` as in a KeyChange."""
        if key in self._changes:
            del self._changes[key]
        else:
            self._length += len(key)
        self._changes[key] = etag
        if len(self._changes) > MAX_KEYS or self._length > MAX_LENGTH:
            self.lose(_TOO_MANY)
        self._has_news.set()

    def lose(self, reason: str) -> None:
        """Report a gap instead of what waits; `reason` as in a Gap."""
        self._changes.clear()
        self._length = 0
        self._gap = Gap(reason)
        self._has_news.set()

    def prove(self, as_of: float) -> None:
        """Report that all changes until a time (of `time.monotonic`) were added before."""
        self._alive = Alive(as_of)
        self._has_news.set()

    async def follow(self, proof: Callable[[], Awaitable[float]], interval_s: float, gap: Gap | None) -> Feed:
        """Yield what is reported, as a feed does. It begins with the gap, if there is one, and with proof that it is
        alive; `proof` returns a time as in `prove`, and is called again at this interval.
        """
        yield [*filter(None, (gap,)), Alive(await proof())]
        prover = asyncio.create_task(self._keep_proving(proof, interval_s))
        try:
            while True:
                yield await self.taken()
        finally:
            prover.cancel()
            await asyncio.wait((prover,))

    async def _keep_proving(self, proof: Callable[[], Awaitable[float]], interval_s: float) -> None:
        """Report proof again and again. A StoreError of it ends the feed."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                self.prove(await proof())
            except StoreError as error:
                self.end(error)
                return

    def end(self, error: StoreError) -> None:
        """Report why no more changes come; the first reason counts."""
        self._end = self._end or error
        self._has_news.set()

    async def taken(self) -> Sequence[Entry]:
        """Return what waits as soon as there is something, and take it out. Raises the StoreError of the end."""
        await self._has_news.wait()
        if self._end is not None:
            raise self._end
        self._has_news.clear()
        entries: list[Entry] = [] if self._gap is None else [self._gap]
        entries += [KeyChange(key, etag) for key, etag in self._changes.items()]
        if self._alive is not None:
            entries.append(self._alive)
        self._changes.clear()
        self._length = 0
        self._gap = self._alive = None
        return entries
