"""What is read for answers with several values: so many bytes at a time, over all calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable

READ_TOGETHER: Final = 100
"""Keys in one trip to the store. Where values do not fit, those of later trips are not read at all."""
BYTES_TOGETHER: Final = 8 * 1024 * 1024
"""Expected bytes in one round trip."""
FIRST_GUESS: Final = 64 * 1024


class Held(Protocol):
    """The budget of all that clients make the sidecar hold."""

    held: int
    limit: int

    def relieve(self) -> None:
        """Make room where clients are slow."""


class Unlimited:
    """A budget that is not shared."""

    def __init__(self) -> None:
        self.held = 0
        self.limit = 2**63

    def relieve(self) -> None: ...


class Making:
    """Reads that are going on, and whose values are not written into an answer yet."""

    def __init__(self, limit: int, budget: Held):
        """`limit` is in bytes. A single read may use all of it; others wait until it ends."""
        self._limit = limit
        self._budget = budget
        self._sizes: dict[int, int] = {}
        """Of each read that is going on, in the order in which they were begun."""
        self._last = 0
        self._size = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._largest = FIRST_GUESS
        """Bytes that a value may have: large ones are believed at once, and forgotten slowly."""

    def begin(self) -> Read:
        """Return a new read, which holds nothing yet."""
        self._last += 1
        self._sizes[self._last] = 0
        return Read(self, self._last)

    def keys_together(self) -> int:
        """Return how many keys to read in one trip."""
        return max(1, min(READ_TOGETHER, BYTES_TOGETHER // self._largest))

    async def reserve(self, number: int, keys: int) -> int:
        """Return the bytes reserved for so many values, once there is room or no other read was begun before."""
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
        """Count more, or less, for a read."""
        self._sizes[number] += size
        self._size += size
        self._budget.held += size
        if size > 0 and self._budget.held > self._budget.limit:
            self._budget.relieve()

    def end(self, number: int) -> None:
        """Count a read no longer."""
        size = self._sizes.pop(number, 0)
        self._size -= size
        self._budget.held -= size
        waiting, self._waiting = self._waiting, []
        for changed in waiting:
            if not changed.done():
                changed.set_result(None)


class Read:
    """One read of several values. It is counted for as long as somebody has it, with the values."""

    __slots__ = ("_making", "_number")

    def __init__(self, making: Making, number: int):
        self._making = making
        self._number = number

    def __del__(self) -> None:
        self.end()

    def keys_together(self) -> int:
        """Return how many keys to read in one trip."""
        return self._making.keys_together()

    def reserve(self, keys: int) -> Awaitable[int]:
        """Return the bytes reserved for so many values, when there is room for them."""
        return self._making.reserve(self._number, keys)

    def settle(self, reserved: int, size: int, largest: int) -> None:
        """Count, in place of what was reserved, the bytes of the values that were found; the largest has `largest`."""
        self._making.learn(largest)
        self._making.add(self._number, size - reserved)

    def end(self) -> None:
        """Count it no longer."""
        self._making.end(self._number)
