"""Reads of several values: no more than fit into one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from .errors import StoreFault
from .store import StoredValue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .requests import Get
    from .store import Store

READ_TOGETHER: Final = 100
"""Keys in one trip to the store. Where values do not fit, those of later trips are not read at all."""


class BulkItem(Struct, frozen=True):
    """One entry of a bulk get."""

    key: str
    found: StoredValue | None = None
    error: str | None = None


async def read_values(store: Store, keys: Sequence[str], gets: Sequence[Get], most_bytes: int) -> list[BulkItem]:
    """Return an item for each key, with values of `most_bytes` together; one without room for its value says so.

    `gets` are the reads of the keys, in the same order. Raises StoreFault where a whole trip fails.
    """
    items: list[BulkItem] = []
    room, is_full = most_bytes, False
    for start in range(0, len(gets), READ_TOGETHER):
        if is_full:
            items.extend(_left_out(keys[start:], most_bytes))
            break
        found = await store.bulk_get(gets[start : start + READ_TOGETHER])
        for key, entry in zip(keys[start : start + READ_TOGETHER], found, strict=True):
            if isinstance(entry, StoreFault):
                items.append(BulkItem(key, error=str(entry)))
            elif entry is not None and len(entry.value) > room:
                is_full = True
                items.extend(_left_out((key,), most_bytes))
            else:
                room -= 0 if entry is None else len(entry.value)
                items.append(BulkItem(key, entry))
    return items


def _left_out(keys: Sequence[str], most_bytes: int) -> Iterator[BulkItem]:
    for key in keys:
        why = f"values of over {most_bytes} bytes don't fit into one answer; get key {key!r} in another call"
        yield BulkItem(key, error=why)
