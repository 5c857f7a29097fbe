"""The feeds of a store whose changes are all made in this process: the store reports each one here."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from .errors import StoreUnavailableError
from .feeds import Alive, Gap
from .pushed_changes import PushedChanges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .feeds import Entry, Feed

_UNKNOWN_POSITION: Final = "this store does not know what has changed since then"


class LocalFeeds:
    """The open feeds of one store."""

    def __init__(self) -> None:
        self._open: dict[PushedChanges, str] = {}
        """What waits for each feed, and its prefix."""
        self._is_closed = False

    def report(self, key: str, etag: str | None) -> None:
        """Report a change to each feed that the key belongs to; None: the key is gone."""
        for changes, prefix in self._open.items():
            if key.startswith(prefix):
                changes.add(key, etag)

    def close(self) -> None:
        """End all feeds: the store is closed."""
        self._is_closed = True
        for changes in self._open:
            changes.end(_closed())

    async def follow(self, prefix: str, since: str | None, lag_s: float) -> Feed:
        """Yield the changes of keys with the prefix, as `Store.feed` does, until the store is closed."""
        if self._is_closed:
            raise _closed()
        changes = PushedChanges()
        self._open[changes] = prefix
        try:
            yield [Alive(monotonic())] if since is None else [Gap(_UNKNOWN_POSITION), Alive(monotonic())]
            while True:
                batch: Sequence[Entry] = ()
                with suppress(TimeoutError):
                    async with asyncio.timeout(lag_s):
                        batch = await changes.taken()
                yield [*batch, Alive(monotonic())]
        finally:
            del self._open[changes]


def _closed() -> StoreUnavailableError:
    return StoreUnavailableError("the store was closed")
