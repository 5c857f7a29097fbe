"""How much a hostile test does: a short form that CI can afford, and a long one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """The short form, or the long one."""

    is_long: bool

    def times(self, short: int, long: int) -> int:
        """Return how often to do something."""
        return long if self.is_long else short

    def seconds(self, short: float, long: float) -> float:
        """Return for how long to do something."""
        return long if self.is_long else short
