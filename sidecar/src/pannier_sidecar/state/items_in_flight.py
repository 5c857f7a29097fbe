"""How many items, over all calls, are read, carried out and answered at a time.

An item takes forty times the bytes in memory that it may have in a request, so the requests themselves are no measure:
three hundred of 250 KB held a gigabyte.
"""

from __future__ import annotations

import asyncio
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final

from .errors import OverloadedError

REQUESTS: Final = 4
"""Of the largest requests, so many at a time."""
PATIENCE_S: Final = 10.0
"""A call that waited for so long is refused, before its client gives up."""


class Share:
    """What one call has of it."""

    __slots__ = ("_flight", "items")

    def __init__(self, flight: ItemsInFlight, items: int):
        self._flight = flight
        self.items = items

    def is_really(self, items: int) -> None:
        """Record the number once it is known."""
        more, self.items = items - self.items, items
        self._flight.add(more)

    def end(self) -> None:
        """Note that the call has its answer, or failed."""
        self.is_really(0)


class ItemsInFlight:
    """Lets calls with many items wait for each other, the smallest first."""

    def __init__(self, max_per_request: int, patience: float = PATIENCE_S):
        self._max_per_request = max_per_request
        self._max = REQUESTS * max_per_request
        self._patience = patience
        self._taken = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()

    @property
    def is_crowded(self) -> bool:
        """Whether calls wait."""
        return bool(self._waiting)

    async def share(self, items: int) -> Share:
        """Return when there is room for so many, or what a request may have if that is less. Raises OverloadedError."""
        items = min(items, self._max_per_request)
        if self._waiting or self._taken + items > self._max:
            await self._wait(items)
        else:
            self._taken += items
        return Share(self, items)

    def add(self, more: int) -> None:
        """Add to the count, which may be negative, and wake the requests that now fit."""
        self._taken += more
        while self._waiting:
            items, _, turn = self._waiting[0]
            if turn.done():  # it was given up
                heappop(self._waiting)
            elif self._taken + items <= self._max:
                heappop(self._waiting)
                self._taken += items
                turn.set_result(None)
            else:
                break

    async def _wait(self, items: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (items, next(self._numbers), turn))
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:
            got_turn = turn.done() and not turn.cancelled()  # and cannot take it
            turn.cancel()
            self._waiting = [entry for entry in self._waiting if entry[2] is not turn]
            heapify(self._waiting)
            self.add(-items if got_turn else 0)
            if isinstance(error, TimeoutError):
                raise OverloadedError(
                    "too many items of other requests are in flight", "send fewer items at once"
                ) from None
            raise
