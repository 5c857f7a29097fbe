"""Messages with many items are read and written in parts, so that other calls get their turn between two parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from ..protobuf import MalformedMessageError, count_fields, decode, encode, end_of_part
from ..state.errors import TooManyItemsError
from ..state.items_in_flight import MUCH
from .messages import (
    BatchRequest,
    BatchResponse,
    DeleteBulkResponse,
    DeleteBulkStateRequest,
    ExecuteActorStateTransactionRequest,
    ExecuteStateTransactionRequest,
    GetBulkStateRequest,
    GetBulkStateResponse,
    SaveStateRequest,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from msgspec import Struct

    from ..state.items_in_flight import ItemsInFlight, Share
    from ..state.pacing import Pace

SINGLE: Final = 512
"""A message of at most this many bytes has few items, whatever its content."""
SHORT: Final = 4096
"""A message of at most this many bytes is read in one part, whatever its content."""
PART: Final = 128
"""Fields of the outer message in one part."""
FIELDS_OF_PART: Final = 8192
"""Fields in one part, those of inner messages included: about ten milliseconds' work."""
FIELDS_OF_ITEM: Final = 16
"""Fields that an item may have on average: it has nine, and two more for each metadata entry."""
OTHER_FIELDS: Final = 64
"""Maximum of fields in a request that are not items."""

_ITEMS: Final[dict[type[Struct], str]] = {
    GetBulkStateRequest: "keys",
    SaveStateRequest: "states",
    DeleteBulkStateRequest: "states",
    BatchRequest: "operations",
    ExecuteStateTransactionRequest: "operations",
    ExecuteActorStateTransactionRequest: "operations",
}
"""The field that holds the items, by the type of the request."""

AnyMessage = TypeVar("AnyMessage", bound="Struct")

_ANSWERS: Final[dict[type[Struct], str]] = {
    GetBulkStateResponse: "items",
    DeleteBulkResponse: "results",
    BatchResponse: "results",
}
"""The only field of an answer with many items, by its type."""


class LongMessages:
    """Answers calls with long requests or answers."""

    def __init__(self, pace: Pace, max_items: int, in_flight: ItemsInFlight):
        self._pace = pace
        self._max_items = max_items
        self._in_flight = in_flight

    async def answer(
        self, kind: type[AnyMessage], data: bytes, handler: Callable[[AnyMessage], Awaitable[Struct]]
    ) -> bytes:
        """Return the bytes of the handler's answer to a message of that kind.

        Raises MalformedMessageError, TooManyItemsError, OverloadedError, and what the handler raises.
        """
        share = await self._share(kind, data) if len(data) > SINGLE else None
        try:
            message = decode(kind, data) if len(data) <= SHORT else await self._read(kind, data)
            if share is not None:
                share.correct(len(getattr(message, _ITEMS[kind])))
            answer = await handler(message)
            return await self._written(answer) if type(answer) in _ANSWERS else encode(answer)
        finally:
            if share is not None:
                share.end()

    async def _share(self, kind: type[Struct], data: bytes) -> Share | None:
        """Wait for room, and return the call's share of all items in flight; None if it is small and has few items."""
        if kind not in _ITEMS:
            return None
        at = end_of_part(data, 0, PART)
        if at >= len(data) and len(data) <= MUCH:
            return None
        return await self._in_flight.share(PART * len(data) // at if at < len(data) else 0, len(data))

    async def _read(self, kind: type[AnyMessage], data: bytes) -> AnyMessage:
        """Return the message of that kind.

        Raises MalformedMessageError, or TooManyItemsError before the items beyond the limit are read.
        """
        at, outer, fields, end = 0, 0, 0, len(data)
        message = kind()

        def go_on() -> None:
            nonlocal at, outer, fields
            start, at = at, end_of_part(data, at, PART)
            part = data[start:at]
            more = count_fields(kind, part, FIELDS_OF_PART)
            if more > FIELDS_OF_PART:
                raise MalformedMessageError(f"items of over {FIELDS_OF_PART} fields; send less metadata")
            outer, fields = outer + PART, fields + more
            if outer > self._max_items + OTHER_FIELDS + PART or fields > (self._max_items + PART) * FIELDS_OF_ITEM:
                raise TooManyItemsError(self._max_items)
            decode(kind, part, message=message)

        go_on()
        while at < end:
            await self._pace.run(go_on)
        return message

    async def _written(self, message: Struct) -> bytes:
        """Return the bytes of an answer that has nothing but items."""
        kind = type(message)
        items = getattr(message, _ANSWERS[kind])
        return b"".join(await self._pace.each(lambda item: encode(kind([item])), items))
