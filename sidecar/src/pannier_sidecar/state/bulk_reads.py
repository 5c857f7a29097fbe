"""Reads several values, and holds no more of them than fit into one answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from .errors import ValueInPartsError
from .store import StoredValue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .bytes_in_flight import BytesInFlight, Read
    from .requests import Get
    from .store import Store

AT_ONCE: Final = 1000
"""Keys to read before other calls get their turn, in case the store itself never waits."""


class BulkItem(Struct, frozen=True, gc=False):
    """One entry of a bulk get."""

    key: str
    found: StoredValue | None = None
    error: str | None = None
    is_in_parts: bool = False
    """The value is kept in parts, and too large to be read with others."""


class ReadItems(list[BulkItem]):
    """The values that were read. They are counted for as long as the list exists."""

    __slots__ = ("_read",)

    def __init__(self, read: Read):
        super().__init__()
        self._read = read


async def read_values(
    store: Store, keys: Sequence[str], gets: Sequence[Get], max_bytes: int, in_flight: BytesInFlight
) -> list[BulkItem]:
    """Return an item for each key; all values together have at most `max_bytes`, and items without room have an error.

    `gets` are the reads of the keys, in the same order. Raises StoreError if a whole request fails.
    """
    read = in_flight.begin()
    items = ReadItems(read)
    room, is_full = max_bytes, False
    at = turn = 0
    try:
        while at < len(gets):
            if is_full:
                items.extend(_left_out(keys[at:], max_bytes))
                break
            if at >= turn + AT_ONCE:
                turn = at
                await asyncio.sleep(0)
            start, at = at, min(at + read.keys_together(), len(gets))
            reserved = await read.reserve(at - start)
            size = largest = 0
            for key, entry in zip(keys[start:at], await store.bulk_get(gets[start:at]), strict=True):
                if isinstance(entry, StoredValue):
                    own = len(entry.value)
                    size += own
                    if own > largest:
                        largest = own
                    if own > room:
                        is_full = True
                        items.extend(_left_out((key,), max_bytes))
                    else:
                        room -= own
                        items.append(BulkItem(key, entry))
                elif entry is None:
                    items.append(BulkItem(key))
                else:
                    items.append(BulkItem(key, None, str(entry), isinstance(entry, ValueInPartsError)))
            read.settle(reserved, size, largest)
    except BaseException:
        read.end()  # its traceback may keep the list alive for long
        raise
    return items


def _left_out(keys: Sequence[str], max_bytes: int) -> Iterator[BulkItem]:
    for key in keys:
        why = f"values of over {max_bytes} bytes don't fit into one answer; get key {key!r} in another call"
        yield BulkItem(key, error=why)
