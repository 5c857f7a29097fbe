"""What all connections of an HTTP port share."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import time
from typing import TYPE_CHECKING

from ..serving import Listener
from .dates import http_date

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .fast_path import FastPath
    from .limits import Limits
    from .messages import Answer, Call


@dataclass(slots=True, eq=False)
class HttpListener(Listener):
    """A listener of HTTP, and how its calls are answered."""

    answer: Callable[[Call], Awaitable[Answer]]
    limits: Limits
    fast_path: FastPath | None = None
    """Answers plain requests at a lower cost, where that is possible."""
    streams: Callable[[bytes, bytes], bool] | None = None
    """Returns whether the call of a method and path reads its body while it arrives; None: no call does."""
    date: bytes = field(default=b"", init=False)
    """The `date` header as a whole line, set with the clock."""

    def tick(self, now: float) -> None:
        Listener.tick(self, now)
        self.date = b"date: " + http_date(time()).encode() + b"\r\n"
