"""How much one request, and one answer, may contain."""

from __future__ import annotations

from msgspec import Struct


class Limits(Struct, frozen=True):
    """The limits of requests and answers. They have no defaults here; the settings have them."""

    answer: int
    """Bytes of all values in an answer with several values."""
    items: int
    """Items, keys or operations of one request."""
    items_together: int
    """Items of all requests of more than a few that are in flight at the same time."""
    cursor: int
    """Characters of a list's cursor: as many as the next request can send."""
