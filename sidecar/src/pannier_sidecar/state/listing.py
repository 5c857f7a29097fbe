"""Pages of keys, without stored keys that do not belong into the list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from .errors import NotSupportedError

if TYPE_CHECKING:
    from .directory import ServedStore
    from .prefilter import Needed
    from .store import KeyPage, Store

_PAST_OTHERS: Final = 1000
"""Keys that a store is asked for at once after a page without any key for the list, such as one of actors' keys."""
_MAX_ATTEMPTS: Final = 3


class Owner(NamedTuple):
    """The actor that a listed key belongs to."""

    actor_type: str
    actor_id: str


class ListedKey(NamedTuple):
    """A key on a page."""

    stored: str
    key: str
    """As the app, or the actor, named it."""
    owner: Owner | None = None
    """None: the list is of the app's own keys, or of one actor's."""
    partition: str | None = None
    """The `partitionKey` that it was written with, where calls need it."""


Read = Callable[[str], ListedKey | None]
"""Takes a stored key, and returns None for one that does not belong into the list."""


class Listing:
    """The stored keys with a prefix that `read` lets into the list."""

    def __init__(self, store: Store, prefix: str, read: Read, max_cursor: int, needed: Needed = ()):
        """`max_cursor`: the longest cursor, in characters, that a request can hold. `needed`: keys may be left out
        whose values do not contain it.
        """
        self._store = store
        self._needed = needed
        self._prefix = prefix
        self._read = read
        self._max_cursor = max_cursor

    async def page(self, limit: int, cursor: str | None) -> tuple[list[ListedKey], str | None]:
        """Return a page of up to `limit` keys, and the cursor of the next page. Raises StoreError.

        A cursor contains a key, and some keys are too long for a request. Then the page ends before such a key.
        """
        keys, following = await self._page(limit, cursor)
        if following is None or len(following) <= self._max_cursor:
            return keys, following
        max_bytes = self._max_cursor * 3 // 4
        likely = [count for count in range(len(keys) - 1, 0, -1) if len(keys[count - 1].stored.encode()) < max_bytes]
        for count in likely[:_MAX_ATTEMPTS]:
            fewer, shorter = await self._page(count, cursor)
            if shorter is None or len(shorter) <= self._max_cursor:
                return fewer, shorter
        raise NotSupportedError(
            f"the page would end at a key that is so long that its cursor, of {len(following):,} characters, fits into "
            f"no request; write a larger limit, or raise --read-buffer-size"
        )

    async def _page(self, limit: int, cursor: str | None) -> tuple[list[ListedKey], str | None]:
        keys: list[ListedKey] = []
        size = limit
        while True:
            page = await self._stored(size, cursor)
            wanted = limit - len(keys)
            listed = [
                (at, key if place is None else key._replace(partition=place))
                for at, (one, place) in enumerate(page.placed)
                if (key := self._read(one)) is not None
            ]
            if len(listed) > wanted:  # a page ends at its cursor: ask again for only as many keys as are wanted
                size = listed[wanted - 1][0] + 1
            else:
                keys += [key for _, key in listed]
                cursor = page.cursor
                if cursor is None or len(keys) >= limit:
                    return keys, cursor
                # A page of the store may hold nothing for the list; then many more such keys are likely to come.
                size = max(wanted - len(listed), _PAST_OTHERS if not listed else 0)
            await asyncio.sleep(0)  # a store in memory never waits, so let other calls have their turn

    async def _stored(self, limit: int, cursor: str | None) -> KeyPage:
        if self._needed:
            return await self._store.candidates(self._prefix, limit, cursor, self._needed)
        return await self._store.keys(self._prefix, limit, cursor)


def own_keys(served: ServedStore, prefix: str, max_cursor: int, needed: Needed = ()) -> Listing:
    """Return the list of the app's own keys that begin with `prefix`, without those of its actors.

    Keys may be left out whose values do not contain what is needed.
    """

    def read(stored: str) -> ListedKey | None:
        key = served.keys.listed(stored)
        return None if key is None else ListedKey(stored, key)

    return Listing(served.store, served.keys.prefix + prefix, read, max_cursor, needed)
