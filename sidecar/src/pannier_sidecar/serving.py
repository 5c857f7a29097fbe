"""Connections being served, whatever they speak: a clock for their time limits, and a graceful end."""

from __future__ import annotations

import asyncio
import socket
import sys
from dataclasses import dataclass, field
from heapq import nsmallest
from operator import itemgetter
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from .last_connections import take_no_more

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TICK_S = 1.0
DEFAULT_BUDGET: Final = 64 * 1024 * 1024
SPARE: Final = 16
"""What part of the budget is free after clients have been given up."""
STEP: Final = 64
"""By what part of the budget it must change before connections are weighed again that had nothing to give up."""
MADE_AT_ONCE: Final = 1 / 64
"""Share of waiting connections that are closed together: looking for them takes a millisecond among thousands."""
ACCEPTING_S = 0.02
"""At the end, for connections that the system has taken and the loop has not: closing the listener would reset them."""
ONE_TURN_S: Final = 0.001
"""A timer set by another timer runs after the loop has asked the sockets: a loop that is late runs its timers first."""


class Connection(Protocol):
    """One connection, as far as the server deals with it."""

    def weight(self, now: float) -> float:
        """How much it makes us hold by being slow: bytes that wait for the client, times the seconds that they do."""

    def give_up(self, excess: int) -> None:
        """Let go of what waits for the client, the heaviest first, until `excess` bytes are free or none waits."""

    def waits(self) -> tuple[float, int] | None:
        """Return since when the client is waited for, with a request or the rest of one, and the number of its arrival.

        None: the sidecar is at work for it, or closes it. The number matters because the clock is set once a second.
        """

    def make_way(self) -> None:
        """Close the connection, which waits for its client, in favour of another one."""

    def sweep(self) -> None:
        """End what has been in one state for too long. Called once a second."""

    def drain(self) -> None:
        """Take no more requests, and close when those in flight have been answered."""

    def abort(self) -> None:
        """Close now."""


AnyConnection = TypeVar("AnyConnection", bound=Connection)


class Budget:
    """Bytes that all clients together make the sidecar hold, over all ports and protocols.

    They are what has been received and is not answered yet, what answers are being made of, and what clients have not
    taken of their answers. Who changes `held` calls `relieve` when it is over the limit.
    """

    __slots__ = ("_fruitless_at", "arrivals", "connections", "groups", "held", "limit")

    def __init__(self, limit: int, connections: int = sys.maxsize):
        self.limit = limit
        self.connections = connections
        """Most of them, on all listeners together: the stores need files too."""
        self.arrivals = 0
        """Connections so far."""
        self.held = 0
        self._fruitless_at: int | None = None
        """What was held after the last weighing that did not free enough."""
        self.groups: list[Connections[Any]] = []
        """The connections of each listener."""

    def relieve(self) -> None:
        """Give up what waits for clients until the rest fits; first where most has waited for longest.

        To weigh thousands of connections takes milliseconds. So a bit more is freed than is needed, and where nothing
        waits for clients that could be, they are weighed again only when what is held has changed noticeably. Otherwise
        each small request would cost that time while the budget is used up.
        """
        if self._fruitless_at is not None and abs(self.held - self._fruitless_at) < self.limit // STEP:
            return
        enough = self.limit - self.limit // SPARE
        now = monotonic()
        weighed = [(connection.weight(now), connection) for group in self.groups for connection in group.open]
        weighed.sort(key=lambda pair: pair[0], reverse=True)
        for weight, connection in weighed:
            excess = self.held - enough
            if excess <= 0 or weight <= 0:
                break
            connection.give_up(excess)
        self._fruitless_at = self.held if self.held > enough else None


SLOWEST_RATE: Final = 128 * 1024
"""Bytes a second at which a client must take an answer, beside the time that it may stall: one that takes a byte now
and then would make us keep the whole of it for ever."""


def time_to_take(size: int, stalled: float) -> float:
    """Return the seconds in which a client must have taken so many bytes, if it may stall for `stalled` seconds."""
    return stalled + size / SLOWEST_RATE


@dataclass(slots=True, eq=False)
class Connections(Generic[AnyConnection]):
    """What all connections of a listener share."""

    budget: Budget = field(default_factory=lambda: Budget(DEFAULT_BUDGET), kw_only=True)
    """One for all listeners of the process."""
    now: float = field(default_factory=monotonic, init=False)
    """A clock that is set once a second: exact enough for time limits, and free."""
    open: set[AnyConnection] = field(default_factory=set, init=False)
    is_draining: bool = field(default=False, init=False)
    all_closed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set when the last connection has gone while draining."""

    @property
    def held(self) -> int:
        """Bytes held for all clients, those of other listeners included."""
        return self.budget.held

    def tick(self, now: float) -> None:
        """Set the clock."""
        self.now = now

    def find_room(self, most: int) -> bool:
        """Say whether one more connection can be taken, where a listener has so many at the most.

        To make room, connections are closed that wait for their clients, the longest waiting first. So idle ones keep
        nobody out. A new one, whose request is about to be read, must not go before those that a flood has begun.
        """
        budget = self.budget
        budget.arrivals += 1
        if len(self.open) >= most:
            groups: list[Connections[Any]] = [self]
        elif sum(len(group.open) for group in budget.groups) >= budget.connections:
            groups = budget.groups
        else:
            return True
        opened = (connection for group in groups for connection in group.open)
        waiting = [(how, connection) for connection in opened if (how := connection.waits()) is not None]
        for _, connection in nsmallest(1 + int(len(waiting) * MADE_AT_ONCE), waiting, key=itemgetter(0)):
            connection.make_way()
        return bool(waiting)

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
        self._bound: list[socket.socket] = []
        self._listeners: list[asyncio.AbstractServer] = []
        self._tick: asyncio.TimerHandle | None = None

    async def serve(
        self,
        sockets: Iterable[socket.socket],
        connections: Connections[Any],
        make: Callable[[], asyncio.Protocol],
    ) -> None:
        """Serve bound sockets (TCP or Unix) with protocols that `make` makes and that enter `connections`."""
        connections.tick(self.groups[0].now if self.groups else monotonic())
        self.groups.append(connections)
        connections.budget.groups.append(connections)
        loop = asyncio.get_running_loop()
        for bound in sockets:
            self._bound.append(bound)
            listen = loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
            self._listeners.append(await listen(make, sock=bound, backlog=1024))
        if self._tick is None:
            self._on_tick()

    async def stop(self, grace_s: float) -> None:
        """Take no more connections, let calls in flight end, at most `grace_s` seconds, then close what is left."""
        for group in self.groups:
            group.is_draining = True
            for connection in list(group.open):
                connection.drain()
        if grace_s:
            take_no_more(self._bound)
            await asyncio.sleep(ACCEPTING_S)
            await asyncio.sleep(ONE_TURN_S)
        for listener in self._listeners:
            listener.close()
        try:
            async with asyncio.timeout(grace_s):
                for group in self.groups:
                    while group.open:
                        group.all_closed.clear()
                        await group.all_closed.wait()
        except TimeoutError:
            for group in self.groups:
                for connection in list(group.open):
                    connection.abort()
        if self._tick is not None:
            self._tick.cancel()

    def _on_tick(self) -> None:
        self._tick = asyncio.get_running_loop().call_later(TICK_S, self._on_tick)
        now = monotonic()  # one time for all: what waits on one listener is compared with what waits on another
        for group in self.groups:
            group.tick(now)
            for connection in list(group.open):
                connection.sweep()
