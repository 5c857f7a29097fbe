"""Which rows expire next, as far as is known: nothing happens in the database when a row expires, until it is removed.

Rows are listed in the order of their expiry, a number of them at once; whatever is written later reports itself.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

LISTED: Final = 5_000
"""Rows that are listed at once."""
MAX_KNOWN: Final = 4 * LISTED


class Expiries:
    """The next expiries under a prefix. All times are the database's, in seconds since 1970."""

    def __init__(self, now: float):
        """Know nothing of rows that expire after `now`; earlier ones have gone before."""
        self._at: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._known_to = (now, "")
        """The last of the rows, in the order of their expiry, up to which all are known."""
        self._meanwhile: dict[str, float | None] | None = None
        """What was written while rows are being listed; None: they are not."""

    def begin_listing(self, now: float) -> tuple[float, str] | None:
        """Return the expiry and the name after which rows must be listed at a time; None: enough is known."""
        if not self.is_behind(now):
            return None
        self._meanwhile = {}
        return self._known_to

    def is_behind(self, now: float) -> bool:
        """Return whether more rows than were listed have expired by a time."""
        return self._known_to[0] <= now

    def end_listing(self, rows: Sequence[tuple[str, float]]) -> None:
        """Take the next rows in the order of their expiry and name, up to LISTED of them."""
        meanwhile, self._meanwhile = self._meanwhile or {}, None
        self._at.update(rows)
        self._heap = [(at, name) for name, at in self._at.items()]
        heapify(self._heap)
        self._known_to = (rows[-1][1], rows[-1][0]) if len(rows) >= LISTED else (inf, "")
        for name, at in meanwhile.items():
            self.note(name, at)

    def note(self, name: str, at: float | None) -> None:
        """Take the time at which a row expires that was written; None: never, or it was deleted."""
        if self._meanwhile is not None:
            self._meanwhile[name] = at
        if at is None or at > self._known_to[0]:
            self._at.pop(name, None)
            return
        self._at[name] = at
        heappush(self._heap, (at, name))
        if len(self._heap) > MAX_KNOWN:
            self._forget_the_latest()

    def due(self, now: float) -> Sequence[str]:
        """Return the rows that have expired by `now`, and forget them."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            at, name = heappop(self._heap)
            if self._at.get(name) == at:
                del self._at[name]
                found.append(name)
        return found

    def _forget_the_latest(self) -> None:
        """Keep the next LISTED expiries; the others are listed again in time."""
        self._heap = sorted((at, name) for name, at in self._at.items())
        if len(self._heap) > LISTED:
            last = self._heap[LISTED - 1][0]
            self._known_to = (last, "")
            self._heap = [each for each in self._heap if each[0] <= last]
            self._at = {name: at for at, name in self._heap}
