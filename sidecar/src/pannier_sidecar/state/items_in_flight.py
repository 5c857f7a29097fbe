"""Limits how many items, and bytes of large requests, of all calls together are read, carried out and answered at the
same time.

An item in memory takes up to forty times its bytes in the request, so limiting the size of requests is not enough:
three hundred requests of 250 KB held a gigabyte. A large value is copied two or three times on its way to a store; so
its bytes count too, as many of them as an item takes for one item.
"""

from __future__ import annotations

import asyncio
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final

from .errors import OverloadedError

BYTES_OF_ITEM: Final = 400
"""This many bytes of a request count as one item."""
MUCH: Final = 64 * 1024
"""Bytes of a request that waits for room even if it has few items."""
PATIENCE_S: Final = 10.0
"""Seconds that a call waits for room; then it is refused, before its client gives up."""


class Share:
    """The items of one call that are in flight."""

    __slots__ = ("_flight", "_of_bytes", "items")

    def __init__(self, flight: ItemsInFlight, items: int, of_bytes: int):
        """`of_bytes` is what the request counts for by its bytes, however few items it has."""
        self._flight = flight
        self._of_bytes = of_bytes
        self.items = items

    def correct(self, items: int) -> None:
        """Record the true number of items once it is known."""
        items = max(items, self._of_bytes)
        more, self.items = items - self.items, items
        self._flight.add(more)

    def end(self) -> None:
        """Note that the call is answered or has failed."""
        self._of_bytes = 0
        self.correct(0)


class ItemsInFlight:
    """Lets calls with many items wait for each other, the smallest first."""

    def __init__(self, max_per_request: int, max_together: int, patience: float = PATIENCE_S):
        self._max_per_request = max_per_request
        self._max = max_together
        self._patience = patience
        self._taken = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()

    @property
    def is_crowded(self) -> bool:
        """Whether calls wait."""
        return bool(self._waiting)

    async def share(self, items: int, size: int) -> Share:
        """Wait until there is room for this many items, or for the maximum of one request. `size` is that of the
        request in bytes. Raises OverloadedError.
        """
        of_bytes = min(size // BYTES_OF_ITEM, self._max_per_request)
        items = max(of_bytes, min(items, self._max_per_request))
        if self._waiting or self._taken + items > self._max:
            await self._wait(items)
        else:
            self._taken += items
        return Share(self, items, of_bytes)

    def add(self, more: int) -> None:
        """Add to the number in flight (or subtract, if negative), and wake the requests that now fit."""
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
            got_turn = turn.done() and not turn.cancelled()  # it has room that it cannot use
            turn.cancel()
            self._waiting = [entry for entry in self._waiting if entry[2] is not turn]
            heapify(self._waiting)
            self.add(-items if got_turn else 0)
            if isinstance(error, TimeoutError):
                raise OverloadedError(
                    "too many items or bytes of other requests are in flight", "send fewer at once"
                ) from None
            raise
