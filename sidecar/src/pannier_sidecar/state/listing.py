"""Lists of an app's keys without those of its actors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from .errors import NotSupportedError

if TYPE_CHECKING:
    from .directory import ServedStore
    from .requests import KeysRequest

_PAST_ACTORS: Final = 1000
"""Keys that a store is asked for at once after a page with nothing but keys of actors."""
_MAX_ATTEMPTS: Final = 3


async def list_keys(served: ServedStore, request: KeysRequest, max_cursor: int) -> tuple[list[str], str | None]:
    """Return a page of the app's keys, and the cursor of the next page. Raises StoreError.

    A cursor contains a key, and some keys are too long for a request. Then the page ends before such a key.
    """
    keys, cursor = await _page(served, request, request.limit)
    if cursor is None or len(cursor) <= max_cursor:
        return keys, cursor
    likely = [count for count in range(len(keys) - 1, 0, -1) if len(keys[count - 1].encode()) < max_cursor * 3 // 4]
    for count in likely[:_MAX_ATTEMPTS]:
        fewer, shorter = await _page(served, request, count)
        if shorter is None or len(shorter) <= max_cursor:
            return fewer, shorter
    raise NotSupportedError(
        f"the page would end at a key that is so long that its cursor, of {len(cursor):,} characters, fits into no "
        f"request; write a larger limit, or raise --read-buffer-size"
    )


async def _page(served: ServedStore, request: KeysRequest, limit: int) -> tuple[list[str], str | None]:
    keys: list[str] = []
    cursor = request.cursor
    prefix = served.keys.prefix + request.prefix
    size = limit
    while True:
        page = await served.store.keys(prefix, size, cursor)
        wanted = limit - len(keys)
        listed = [(at, key) for at, one in enumerate(page.keys) if (key := served.keys.listed(one)) is not None]
        if len(listed) > wanted:  # a page ends at its cursor: ask again for only as many keys as are wanted
            size = listed[wanted - 1][0] + 1
        else:
            keys += [key for _, key in listed]
            cursor = page.cursor
            if cursor is None or len(keys) >= limit:
                return keys, cursor
            # A page of the store may hold nothing but keys of actors; then many more are likely to come.
            size = max(wanted - len(listed), _PAST_ACTORS if not listed else 0)
        await asyncio.sleep(0)  # a store in memory never waits, so let other calls have their turn
