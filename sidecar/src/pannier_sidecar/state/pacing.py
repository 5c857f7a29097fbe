"""Long work for the event loop, done in short pieces: other calls get their turn between two pieces."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Source = TypeVar("Source")
Made = TypeVar("Made")

FEW: Final = 100
"""Items that are done at once, in less than a millisecond."""
PIECE_S: Final = 0.002
"""Duration of one piece in seconds."""


class Pace:
    """Does one piece of long work in each iteration of the event loop, however many calls have long work."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, work: Callable[[], Made]) -> Made:
        """Return what `work` returns, or raise what it raises."""
        async with self._turn:
            try:
                return work()
            finally:
                await asyncio.sleep(0)

    async def each(self, make: Callable[[Source], Made], sources: Sequence[Source]) -> list[Made]:
        """Return the result of `make` for each source."""
        if len(sources) <= FEW:
            return [make(source) for source in sources]
        made: list[Made] = []

        def piece() -> None:
            end = perf_counter() + PIECE_S
            for at in range(len(made), len(sources)):
                made.append(make(sources[at]))
                if perf_counter() > end:
                    break

        while len(made) < len(sources):
            await self.run(piece)
        return made
