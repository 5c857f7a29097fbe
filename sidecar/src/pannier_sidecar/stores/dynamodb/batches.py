"""Many keys in one call, by BatchGetItem and BatchWriteItem. Keys that DynamoDB leaves unprocessed are sent again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from pannier_sidecar.state.errors import StoreError, StoreUnavailableError

from .client import pauses
from .errors import reading_answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pannier_sidecar.state.requests import Write

    from .client import Client
    from .layout import Arguments, Item, Layout

    Placed = tuple[int, Write]
    """A write, and its index in the bulk."""

Thing = TypeVar("Thing")

READ_AT_ONCE: Final = 100
WRITTEN_AT_ONCE: Final = 25
"""Maximum numbers of keys that DynamoDB takes in one call."""
_NO_CAPACITY: Final = "DynamoDB has no capacity left for this table now; raise it, or choose on-demand capacity"


async def read(client: Client, layout: Layout, keys: Sequence[str], *, strong: bool) -> dict[str, Item | StoreError]:
    """Return the items that are there, and why others could not be read. At most READ_AT_ONCE different keys."""
    found: dict[str, Item | StoreError] = {}
    wanted = [layout.key(key) for key in keys]
    waits = pauses()
    try:
        while True:
            request = {layout.table: {"Keys": wanted, "ConsistentRead": strong}}
            answer = await client.read("batch_get_item", RequestItems=request)
            with reading_answer():
                items = [item for some in answer.get("Responses", {}).values() for item in some]
                found |= {layout.key_of(item): item for item in items}
                left = [key for some in answer.get("UnprocessedKeys", {}).values() for key in some["Keys"]]
            if not left:
                return found
            if len(left) == len(wanted):
                raise StoreUnavailableError(_NO_CAPACITY)
            wanted = left
            await asyncio.sleep(next(waits, 0))
    except StoreError as error:
        return found | {layout.key_of(key): error for key in wanted}


async def write(client: Client, layout: Layout, requests: Mapping[str, Arguments]) -> dict[str, StoreError]:
    """Carry out writes without preconditions, given by key; return the errors of those that failed. At most
    WRITTEN_AT_ONCE.
    """
    waiting = dict(requests)
    waits = pauses()
    try:
        while waiting:
            request = {layout.table: list(waiting.values())}
            answer = await client.write("batch_write_item", RequestItems=request)
            with reading_answer(is_write=True):
                left = {_key(layout, one): one for some in answer.get("UnprocessedItems", {}).values() for one in some}
            if len(left) == len(waiting):
                raise StoreUnavailableError(_NO_CAPACITY)
            waiting = left
            if waiting:
                await asyncio.sleep(next(waits, 0))
    except StoreError as error:
        return dict.fromkeys(waiting, error)
    return {}


def _key(layout: Layout, request: Arguments) -> str:
    put = request.get("PutRequest")
    return layout.key_of(put["Item"] if put else request["DeleteRequest"]["Key"])


def by_key(writes: Sequence[Write]) -> list[list[Placed]]:
    """Return the writes to each key, in their order."""
    groups: dict[str, list[Placed]] = {}
    for place, write in enumerate(writes):
        groups.setdefault(write.key, []).append((place, write))
    return list(groups.values())


def parts(things: Sequence[Thing], size: int) -> Iterator[Sequence[Thing]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]
