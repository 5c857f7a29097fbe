"""Bulk calls of stores whose database takes one key in a request: several requests are in flight together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pannier_sidecar.state.joining import with_distinct_keys
from pannier_sidecar.state.store import or_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pannier_sidecar.state.errors import StoreError
    from pannier_sidecar.state.requests import Get, Write
    from pannier_sidecar.state.store import StoredValue


async def read_each(
    read: Callable[[Get], Awaitable[StoredValue | None]], gets: Sequence[Get], at_once: int
) -> Sequence[StoredValue | StoreError | None]:
    """Return what `bulk_get` returns, by a call for each key, of which this many are in flight together."""
    found: list[StoredValue | StoreError | None] = []
    for start in range(0, len(gets), at_once):
        found += await asyncio.gather(*(or_error(read(get)) for get in gets[start : start + at_once]))
    return found


async def write_each(
    carry_out: Callable[[Write], Awaitable[None]], writes: Sequence[Write], at_once: int
) -> Sequence[StoreError | None]:
    """Return what `bulk_write` returns, by a call for each write, of which this many are in flight together, but those
    to one key in their order.
    """
    found: list[StoreError | None] = []
    for run in with_distinct_keys(writes, at_once):
        found += await asyncio.gather(*(or_error(carry_out(writes[place])) for place in run))
    return found
