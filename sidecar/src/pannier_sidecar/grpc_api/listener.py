"""What all connections of a gRPC port share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..serving import Listener
from ..state.pacing import Pace
from .limits import SHARES, UNPACKED

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..http2.headers import Headers
    from ..http2.limits import Limits as Http2Limits
    from .limits import Limits
    from .method import Method


@dataclass(slots=True, eq=False)
class GrpcListener(Listener):
    """What all connections of a listener share."""

    find: Callable[[bytes, Headers], Method]
    """Finds the method for a path and the call's headers. Raises StatusError."""
    limits: Limits
    pace: Pace = field(default_factory=Pace)
    http2: Http2Limits = field(init=False)
    unpacking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(UNPACKED), init=False)
    expected: int = field(default=32 * 1024, init=False)
    """Expected bytes of the next answer: grows at once with a large answer, and falls slowly."""
    at_once: int = field(default=0, init=False)
    """Calls that one connection may have in progress, if the client reads their answers."""

    def __post_init__(self) -> None:
        self.http2 = self.limits.http2
        self.learn(0)

    @property
    def share(self) -> int:
        """Bytes that the answers of one connection may have before its further calls wait."""
        return self.budget.limit // SHARES

    def learn(self, size: int) -> None:
        """Update the estimate by the size of an answer."""
        self.expected = size if size > self.expected else self.expected - (self.expected - size >> 4)
        self.at_once = max(1, self.share // self.expected)
