"""Bounds the connections to the webhook server: a connection above the maximum takes the place of an idle one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from aiohttp import web
    from aiohttp.web_protocol import RequestHandler

MAX_CONNECTIONS: Final = 200
"""When this many are open, idle ones are closed. A connection over TLS takes 70 KiB; API servers keep a few each, and
open more in a burst, which are busy then.
"""


class Connections:
    """The connections of one server."""

    def __init__(self) -> None:
        self.of: web.Server | None = None
        """Set before the first connection is accepted."""
        self._busy: set[RequestHandler] = set()
        self._proved: set[RequestHandler] = set()
        """Those on which a review has been received."""

    def accept(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        assert self.of is not None
        connections = self.of.connections  # the oldest first
        self._proved.intersection_update(connections)
        if len(connections) >= MAX_CONNECTIONS:
            idle = [each for each in connections if each not in self._busy and _is_open(each)]
            for each in sorted(idle, key=self._proved.__contains__)[:1]:
                if each.transport is not None:
                    each.transport.abort()
        return self.of()

    def prove(self, request: web.Request) -> None:
        """Note that a review was received on this connection: connections without one are closed first."""
        self._proved.add(request.protocol)

    @contextmanager
    def busy(self, request: web.Request) -> Iterator[None]:
        """Keep the connection of a request that is being answered."""
        self._busy.add(request.protocol)
        try:
            yield
        finally:
            self._busy.discard(request.protocol)


def _is_open(connection: RequestHandler) -> bool:
    return connection.transport is not None and not connection.transport.is_closing()
