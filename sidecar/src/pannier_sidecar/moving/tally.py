"""Counts what became of the keys, and reports it at the end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pannier_sidecar.moving.deciding import WRITES, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator


class Tally:
    """The counts of one move."""

    def __init__(self) -> None:
        self.verdicts: Counter[Verdict] = Counter()
        self.bytes_written = 0
        self.unread = 0
        """Keys or lines of the source that could not be read."""
        self.gone = 0
        """Keys that vanished between being listed and being read."""
        self.passed_over = 0
        """Keys that the source listed but that do not belong to this app."""
        self.verified = 0
        self.verified_bytes = 0
        self.differing = 0
        """Keys that were handled, but differ between the two sides at the end."""
        self.is_verified = False
        """Whether everything has been compared at the end."""

    @property
    def done(self) -> int:
        """Keys and lines that have been handled."""
        return self.verdicts.total() + self.unread + self.gone

    @property
    def is_whole(self) -> bool:
        """Whether everything in the source has arrived."""
        return not (self.verdicts[Verdict.LEAVE] + self.verdicts[Verdict.FAIL] + self.unread + self.differing)

    def count(self, verdict: Verdict, size: int) -> None:
        """Count one key, whose value has `size` bytes."""
        self.verdicts[verdict] += 1
        if verdict in WRITES:
            self.bytes_written += size

    def lines(self) -> Iterator[str]:
        """Yield the summary."""
        written = f"; {counted(self.bytes_written, 'byte')} written" if self.bytes_written else ""
        yield f"{counted(self.done, 'key')}: {', '.join(self._parts()) or 'nothing to do'}{written}"
        if self.passed_over:
            yield f"skipped: {counted(self.passed_over, 'key')} of the source that this app does not own"
        if self.is_verified:
            same = f"{counted(self.verified, 'key')}, {counted(self.verified_bytes, 'byte')}"
            yield f"verified: {same} the same on both sides" + (f"; {self.differing} differ" if self.differing else "")

    def _parts(self) -> Iterator[str]:
        for verdict in Verdict:
            if number := self.verdicts[verdict]:
                yield f"{number} {verdict.value}"
        if self.unread:
            yield f"{self.unread} unreadable"
        if self.gone:
            yield f"{self.gone} gone meanwhile"


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
