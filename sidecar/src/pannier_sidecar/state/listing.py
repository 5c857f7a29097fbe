"""Lists of an app's keys, in which those of its actors are left out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .directory import ServedStore
    from .requests import KeysRequest

MAX_PAGE_SIZE: Final = 1000
"""Keys that are asked of a store at once, to get past keys of actors."""


async def list_keys(served: ServedStore, request: KeysRequest) -> tuple[list[str], str | None]:
    """Return the app's keys, and the cursor of the next page. Raises StoreError."""
    keys: list[str] = []
    cursor = request.cursor
    prefix = served.keys.prefix + request.prefix
    size = request.limit
    while True:
        page = await served.store.keys(prefix, size, cursor)
        wanted = request.limit - len(keys)
        listed = [(at, key) for at, one in enumerate(page.keys) if (key := served.keys.listed(one)) is not None]
        if len(listed) > wanted:  # a page ends where its cursor is: ask again for as much of it as is wanted
            size = listed[wanted - 1][0] + 1
        else:
            keys += [key for _, key in listed]
            cursor = page.cursor
            if cursor is None or len(keys) >= request.limit:
                return keys, cursor
            # A page of the store may hold nothing but keys of actors; then many more are likely to come.
            size = max(wanted - len(listed), MAX_PAGE_SIZE if not listed else 0)
        await asyncio.sleep(0)  # a store in memory needs no time, and others want their turn
