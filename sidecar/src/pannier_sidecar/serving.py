"""Listeners and connections of either protocol: a clock for time limits, a memory budget, and a graceful end."""

from __future__ import annotations

import asyncio
import socket
import sys
from dataclasses import dataclass, field
from heapq import nsmallest
from operator import itemgetter
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from .last_connections import take_no_more

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TICK_S = 1.0
SPARE: Final = 16
"""Fraction of the budget (1/16) that is to be free after calls of slow clients have been given up."""
STEP: Final = 64
"""Fraction of the budget (1/64) by which `held` must change before connections are weighed again, if the last weighing
freed too little.
"""
MADE_AT_ONCE: Final = 1 / 64
"""Share of the waiting connections that are closed together: finding them among thousands takes a millisecond."""
ACCEPTING_S = 0.02
"""Seconds at the end to accept connections that the kernel has queued: closing the socket would reset them."""
ONE_TURN_S: Final = 0.001
"""Seconds of a second pause. If the event loop is late, the first pause can end before sockets are polled. They are
polled during the second pause in any case.
"""


class Connection(Protocol):
    """What the server needs of a connection of either protocol."""

    def weight(self, now: float) -> float:
        """Return what the client's slowness costs: the bytes that wait for it, times the seconds of their wait."""

    def give_up(self, excess: int) -> None:
        """Drop what waits for the client, the heaviest first, until `excess` bytes are free or nothing waits."""

    def waits(self) -> tuple[float, int] | None:
        """Return when the connection began to wait for a request, or for the rest of one, and its number in order of
        arrival; None if a request is being answered, or the connection is closed. The number breaks ties, because the
        clock is set once a second.
        """

    def make_way(self) -> None:
        """Close the connection, which is waiting for its client, to make room for another one."""

    def sweep(self) -> None:
        """End calls, or the connection, that have been in one state for too long. Called once a second."""

    def drain(self) -> None:
        """Accept no more requests, and close when those in flight have been answered."""

    def abort(self) -> None:
        """Close now."""


class Budget:
    """Bytes that all clients together make the sidecar hold, over all ports and protocols.

    They are requests that are not answered yet, values for answers in the making, and parts of answers that clients
    have not read. Code that raises `held` over the limit calls `relieve`.
    """

    __slots__ = ("_fruitless_at", "arrivals", "connections", "held", "limit", "listeners")

    def __init__(self, limit: int, connections: int = sys.maxsize):
        self.limit = limit
        self.connections = connections
        """Maximum on all listeners together: stores need file descriptors too."""
        self.arrivals = 0
        """Connections so far."""
        self.held = 0
        self._fruitless_at: int | None = None
        """`held` after the last attempt that did not free enough."""
        self.listeners: list[Listener] = []
        """The listeners that share this budget."""

    def relieve(self) -> None:
        """Give up what waits for clients until the rest fits, starting where most bytes have waited for longest.

        Weighing thousands of connections takes milliseconds, and each small request would cause it while the budget is
        used up. So more is freed than is needed. If too little could be freed, connections are weighed again only after
        `held` has changed by a noticeable part of the limit.
        """
        if self._fruitless_at is not None and abs(self.held - self._fruitless_at) < self.limit // STEP:
            return
        enough = self.limit - self.limit // SPARE
        now = monotonic()
        weighed = [(connection.weight(now), connection) for listener in self.listeners for connection in listener.open]
        weighed.sort(key=lambda pair: pair[0], reverse=True)
        for weight, connection in weighed:
            excess = self.held - enough
            if excess <= 0 or weight <= 0:
                break
            connection.give_up(excess)
        self._fruitless_at = self.held if self.held > enough else None


SLOWEST_RATE: Final = 128 * 1024
"""Bytes a second that a client must read of an answer, apart from the time for which it may stall. Without this rate, a
client that reads a byte now and then would make us hold the whole answer for ever.
"""


def time_to_take(size: int, stalled: float) -> float:
    """Return the seconds in which a client must have read this many bytes, if it may stall for `stalled` seconds."""
    return stalled + size / SLOWEST_RATE


class ConnectionLimits(Struct, frozen=True, kw_only=True):
    """Limits of the connections of either protocol. Times are in seconds."""

    connections: int = 4096
    """Maximum of connections on one listener."""
    receiving: float = 30.0
    """How long a request may take from its first byte to its last."""
    stalled: float = 30.0
    """How long a client may read nothing of its answer, or read it too slowly (`time_to_take`)."""


@dataclass(slots=True, eq=False)
class Listener:
    """What all connections of a listener share."""

    budget: Budget = field(kw_only=True)
    """One for all listeners of the process."""
    now: float = field(default_factory=monotonic, init=False)
    """A clock that is set once a second: exact enough for time limits, and it costs nothing."""
    open: set[Connection] = field(default_factory=set, init=False)
    is_draining: bool = field(default=False, init=False)
    all_closed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set when the last connection has closed while draining."""

    @property
    def held(self) -> int:
        """Bytes held for all clients, those of other listeners included."""
        return self.budget.held

    def tick(self, now: float) -> None:
        """Set the clock."""
        self.now = now

    def find_room(self, max_connections: int) -> bool:
        """Return whether one more connection can be accepted, if a listener has at most `max_connections`. To make
        room, close connections that wait for their clients, the longest waiting first, so that idle ones keep no client
        out. In a flood, a new connection whose request is about to be read is therefore not closed before older ones.
        """
        budget = self.budget
        budget.arrivals += 1
        if len(self.open) >= max_connections:
            listeners: list[Listener] = [self]
        elif sum(len(listener.open) for listener in budget.listeners) >= budget.connections:
            listeners = budget.listeners
        else:
            return True
        opened = (connection for listener in listeners for connection in listener.open)
        waiting = [(how, connection) for connection in opened if (how := connection.waits()) is not None]
        for _, connection in nsmallest(1 + int(len(waiting) * MADE_AT_ONCE), waiting, key=itemgetter(0)):
            connection.make_way()
        return bool(waiting)

    def lost(self, connection: Connection) -> None:
        """Remove a connection that is closed."""
        self.open.discard(connection)
        if self.is_draining and not self.open:
            self.all_closed.set()


class Server:
    """Serves any number of listeners, with one clock and one end."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self._bound: list[socket.socket] = []
        self._servers: list[asyncio.AbstractServer] = []
        self._tick: asyncio.TimerHandle | None = None

    async def serve(
        self,
        sockets: Iterable[socket.socket],
        listener: Listener,
        make: Callable[[], asyncio.Protocol],
    ) -> None:
        """Serve bound sockets (TCP or Unix) with protocols of `make`, which add themselves to `listener.open`."""
        listener.tick(self.listeners[0].now if self.listeners else monotonic())
        self.listeners.append(listener)
        listener.budget.listeners.append(listener)
        loop = asyncio.get_running_loop()
        for bound in sockets:
            self._bound.append(bound)
            listen = loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
            self._servers.append(await listen(make, sock=bound, backlog=1024))
        if self._tick is None:
            self._on_tick()

    async def stop(self, grace_s: float) -> None:
        """Accept no more connections, wait up to `grace_s` seconds for calls in flight, then close what is left."""
        for listener in self.listeners:
            listener.is_draining = True
            for connection in list(listener.open):
                connection.drain()
        if grace_s:
            take_no_more(self._bound)
            await asyncio.sleep(ACCEPTING_S)
            await asyncio.sleep(ONE_TURN_S)
        for server in self._servers:
            server.close()
        try:
            async with asyncio.timeout(grace_s):
                for listener in self.listeners:
                    while listener.open:
                        listener.all_closed.clear()
                        await listener.all_closed.wait()
        except TimeoutError:
            for listener in self.listeners:
                for connection in list(listener.open):
                    connection.abort()
        if self._tick is not None:
            self._tick.cancel()

    def _on_tick(self) -> None:
        self._tick = asyncio.get_running_loop().call_later(TICK_S, self._on_tick)
        now = monotonic()  # one time for all, because connections of different listeners are compared
        for listener in self.listeners:
            listener.tick(now)
            for connection in list(listener.open):
                connection.sweep()
