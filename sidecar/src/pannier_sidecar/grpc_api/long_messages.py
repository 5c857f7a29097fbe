"""Messages with many items, read and written a part at a time, so that other calls get their turn between two parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from ..state.errors import TooManyItems
from .messages import GetBulkStateResponse
from .wire import decode, encode, end_of_part

if TYPE_CHECKING:
    from msgspec import Struct

    from ..state.pacing import Pace
    from .messages import BulkStateItem

SHORT: Final = 4096
"""Bytes of a message that are read at once, whatever is in it."""
PART: Final = 128
"""Fields of the outer message that are read at once."""
OTHER_FIELDS: Final = 64
"""Fields of a request that are no items, at the most."""

AnyMessage = TypeVar("AnyMessage", bound="Struct")


class LongMessages:
    """Reads requests, and writes answers."""

    def __init__(self, pace: Pace, max_items: int):
        self._pace = pace
        self._max_items = max_items

    async def read(self, kind: type[AnyMessage], data: bytes) -> AnyMessage:
        """Return the message of that kind. Raises Malformed, or TooManyItems before more of them are read."""
        at, count, end = end_of_part(data, 0, PART), PART, len(data)
        if at >= end:
            return decode(kind, data)
        message = decode(kind, data[:at])

        def go_on() -> None:
            nonlocal at, count
            start, at = at, end_of_part(data, at, PART)
            count += PART
            if count > self._max_items + OTHER_FIELDS + PART:
                raise TooManyItems(self._max_items)
            decode(kind, data[start:at], message=message)

        while at < end:
            await self._pace.run(go_on)
        return message

    async def written(self, message: GetBulkStateResponse) -> bytes:
        """Return the bytes of an answer."""
        return b"".join(await self._pace.each(_alone, message.items))


def _alone(item: BulkStateItem) -> bytes:
    return encode(GetBulkStateResponse([item]))
