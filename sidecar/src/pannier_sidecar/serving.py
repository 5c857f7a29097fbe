"""Connections being served, whatever they speak: a clock for their time limits, and a graceful end."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TICK_S = 1.0


class Connection(Protocol):
    """One connection, as far as the server deals with it."""

    def sweep(self) -> None:
        """End what has been in one state for too long. Called once a second."""

    def drain(self) -> None:
        """Take no more requests, and close when those in flight have been answered."""

    def abort(self) -> None:
        """Close now."""


AnyConnection = TypeVar("AnyConnection", bound=Connection)


@dataclass(slots=True, eq=False)
class Connections(Generic[AnyConnection]):
    """What all connections of a listener share."""

    now: float = field(default_factory=monotonic, init=False)
    """A clock that is set once a second: exact enough for time limits, and free."""
    open: set[AnyConnection] = field(default_factory=set, init=False)
    is_draining: bool = field(default=False, init=False)
    all_closed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set when the last connection has gone while draining."""

    def tick(self) -> None:
        """Set the clock."""
        self.now = monotonic()

    def lost(self, connection: AnyConnection) -> None:
        """Take note that a connection is gone."""
        self.open.discard(connection)
        if self.is_draining and not self.open:
            self.all_closed.set()


class Server:
    """Serves any number of listeners, with one clock and one end."""

    def __init__(self) -> None:
        self.groups: list[Connections[Any]] = []
        """The connections of each listener."""
        self._listeners: list[asyncio.AbstractServer] = []
        self._tick: asyncio.TimerHandle | None = None

    async def serve(
        self,
        sockets: Iterable[socket.socket],
        connections: Connections[Any],
        make: Callable[[], asyncio.Protocol],
    ) -> None:
        """Serve bound sockets (TCP or Unix) with protocols that `make` makes and that enter `connections`."""
        connections.tick()
        self.groups.append(connections)
        loop = asyncio.get_running_loop()
        for bound in sockets:
            listen = loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
            self._listeners.append(await listen(make, sock=bound, backlog=1024))
        if self._tick is None:
            self._on_tick()

    async def stop(self, grace_s: float) -> None:
        """Take no more connections, let calls in flight end, at most `grace_s` seconds, then close what is left."""
        for listener in self._listeners:
            listener.close()
        for group in self.groups:
            group.is_draining = True
            for connection in list(group.open):
                connection.drain()
        try:
            async with asyncio.timeout(grace_s):
                for group in self.groups:
                    if group.open:
                        await group.all_closed.wait()
        except TimeoutError:
            for group in self.groups:
                for connection in list(group.open):
                    connection.abort()
        if self._tick is not None:
            self._tick.cancel()

    def _on_tick(self) -> None:
        self._tick = asyncio.get_running_loop().call_later(TICK_S, self._on_tick)
        for group in self.groups:
            group.tick()
            for connection in list(group.open):
                connection.sweep()
