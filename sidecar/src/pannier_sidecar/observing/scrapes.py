"""Bounds how often the page of metrics is rendered, because that takes a millisecond and its port requires no token."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES_A_SECOND: Final = 10


class Scrapes:
    """Renders the page up to ten times a second; more frequent scrapes get the last one again."""

    def __init__(self, make: Callable[[], bytes]):
        self._make = make
        self._page = b""
        self._left = float(PAGES_A_SECOND)
        self._since = monotonic()

    def page(self) -> bytes:
        """Return the page, at most a tenth of a second old."""
        now = monotonic()
        self._left = min(PAGES_A_SECOND, self._left + (now - self._since) * PAGES_A_SECOND)
        self._since = now
        if self._left >= 1 or not self._page:
            self._left -= 1
            self._page = self._make()
        return self._page
