"""How much one request may have in it, and one answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """All of them: they have no defaults here, because the settings have some."""

    answer: int
    """Bytes of all values in an answer that has several."""
    items: int
    """Items, keys or operations of one request."""
    cursor: int
    """Characters of the cursor of a list: as many as the next request can bring."""
