"""Limits how many bytes of values all calls together read at the same time, for answers with several values."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable

READ_TOGETHER: Final = 100
"""Keys in one request to the store. If values do not fit, those of later requests are not read at all."""
BYTES_TOGETHER: Final = 8 * 1024 * 1024
"""Expected bytes in one request."""
FIRST_GUESS: Final = 64 * 1024


class Held(Protocol):
    """The budget of all that clients make the sidecar hold."""

    held: int
    limit: int

    def relieve(self) -> None:
        """Make room by giving up what waits for slow clients."""


class Unlimited:
    """A budget that is not shared."""

    def __init__(self) -> None:
        self.held = 0
        self.limit = 2**63

    def relieve(self) -> None: ...


class BytesInFlight:
    """Reads in progress, whose values are not written into an answer yet."""

    def __init__(self, limit: int, budget: Held):
        """`limit` is in bytes. A single read may use all of it; others wait until it ends."""
        self._limit = limit
        self._budget = budget
        self._sizes: dict[int, int] = {}
        """Bytes of each read in progress, in the order in which they were begun."""
        self._last = 0
        self._size = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._largest = FIRST_GUESS
        """Expected bytes of a value: grows at once with a large value, and falls slowly."""

    def begin(self) -> Read:
        """Return a new read, which holds nothing yet."""
        self._last += 1
        self._sizes[self._last] = 0
        return Read(self, self._last)

    def keys_together(self) -> int:
        """Return how many keys to read in one request."""
        return max(1, min(READ_TOGETHER, BYTES_TOGETHER // self._largest))

    async def reserve(self, number: int, keys: int) -> int:
        """Wait for room, or until no earlier read is in progress; return the bytes reserved for these values."""
        size = min(keys * self._largest, self._limit)
        while self._size + size > self._limit and next(iter(self._sizes)) != number:
            changed = asyncio.get_running_loop().create_future()
            self._waiting.append(changed)
            await changed
        self.add(number, size)
        return size

    def learn(self, largest: int) -> None:
        """Record the size of the largest of some values."""
        self._largest = max(1024, largest, self._largest - self._largest // 4)

    def add(self, number: int, size: int) -> None:
        """Change the bytes that are counted for a read."""
        self._sizes[number] += size
        self._size += size
        self._budget.held += size
        if size > 0 and self._budget.held > self._budget.limit:
            self._budget.relieve()

    def end(self, number: int) -> None:
        """Stop counting a read."""
        size = self._sizes.pop(number, 0)
        self._size -= size
        self._budget.held -= size
        waiting, self._waiting = self._waiting, []
        for changed in waiting:
            if not changed.done():
                changed.set_result(None)


class Read:
    """One read of several values. It is counted until its owner drops it, together with the values."""

    __slots__ = ("_in_flight", "_number")

    def __init__(self, in_flight: BytesInFlight, number: int):
        self._in_flight = in_flight
        self._number = number

    def __del__(self) -> None:
        self.end()

    def keys_together(self) -> int:
        """Return how many keys to read in one request."""
        return self._in_flight.keys_together()

    def reserve(self, keys: int) -> Awaitable[int]:
        """Wait for room; return the bytes reserved for this many values."""
        return self._in_flight.reserve(self._number, keys)

    def settle(self, reserved: int, size: int, largest: int) -> None:
        """Count the bytes of the found values instead of the reserved bytes; the largest value has `largest`."""
        self._in_flight.learn(largest)
        self._in_flight.add(self._number, size - reserved)

    def end(self) -> None:
        """Stop counting it."""
        self._in_flight.end(self._number)
