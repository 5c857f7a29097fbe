"""One server for as long as the store is open: connects, and connects again whenever the connection ends."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from math import inf
from random import uniform
from typing import TYPE_CHECKING, Final

from pannier_sidecar.state.errors import StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .connection import Connection

log = logging.getLogger(__name__)

WOKEN_AT_ONCE: Final = 16
SHORT_LIFE: Final = 1.0
"""Seconds; a connection that lived shorter counts as a failed attempt."""


def pause_before(attempt: int, shortest: float, longest: float) -> float:
    """Return the seconds to wait before an attempt (1 is the first): doubling, with full jitter.

    The jitter keeps the sidecars of a cluster from coming back to a restarted server all in the same moment.
    """
    return uniform(0, min(longest, shortest * 2 ** min(attempt, 30)))


class Link:
    """A connection that comes back."""

    def __init__(
        self,
        dial: Callable[[], Awaitable[Connection]],
        shortest_pause: float,
        longest_pause: float,
        patience: float = inf,
    ):
        """`patience` is for how many seconds of an outage calls wait; after that they fail at once until it ends."""
        self.connection: Connection | None = None
        """To send on; None while there is none, and while it takes no more calls."""
        self.fault: StoreError = StoreUnavailableError("not connected to Redis yet")
        """Why there is no connection."""
        self._dial = dial
        self._pauses = (shortest_pause, longest_pause)
        self._patience = patience
        self._down_since: float | None = None
        """Loop time at which the outage began; None: there is none."""
        self._current: Connection | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._waiters: dict[asyncio.Future[None], None] = {}
        """Calls that wait, in the order they came."""
        self._is_worth_trying = asyncio.Event()
        """Set when there is news, so that the pause before the next attempt ends."""
        self._is_closed = False

    async def open(self) -> None:
        """Connect now. Raises a StoreError."""
        connection = await self._dial()
        self._adopt(connection)
        self.start()

    def start(self) -> None:
        """Connect in the background."""
        if self._keeper is None and not self._is_closed:
            if self._current is None:
                self._down_since = asyncio.get_running_loop().time()
            self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End the connection; calls in flight fail. Does not come back."""
        self._is_closed = True
        self.fault = StoreUnavailableError("the Redis store is closed")
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait((self._keeper,))
        if self._current is not None:
            self._current.abort(str(self.fault))
            await asyncio.wait((self._current.lost,))
            self._current = None
        self._wake_some()

    def drop(self, reason: str) -> None:
        """End the connection and look for the server again: what it reaches is not what was looked for."""
        if self._current is not None:
            self._current.abort(reason)

    def stay_at(self, server: str, why: str) -> None:
        """Leave any other server than this one (host:port) at once; its connection says `why`."""
        if self._current is not None and self._current.name != server:
            self._current.abort(why)

    def hurry(self) -> None:
        """Try to connect without further pause: there is reason to believe that it succeeds."""
        self._is_worth_trying.set()

    async def usable(self, deadline: float, write_timeout: float) -> Connection:
        """Return the connection as soon as it takes calls. Raises the link's fault at `deadline` (loop time)."""
        loop = asyncio.get_running_loop()
        if self._current is not None and self._current.why_ended is None:
            deadline = min(deadline, loop.time() + write_timeout)
        while self.connection is None:
            self.start()
            deadline = min(deadline, self.waits_until)
            if self._is_closed or loop.time() >= deadline:
                raise self._why()
            waiter = loop.create_future()
            self._waiters[waiter] = None
            try:
                async with asyncio.timeout_at(deadline):
                    await waiter
            except TimeoutError:
                continue
            finally:
                self._waiters.pop(waiter, None)
        return self.connection

    @property
    def waits_until(self) -> float:
        """Loop time until which a call waits for a connection in this outage."""
        return inf if self._down_since is None else self._down_since + self._patience

    def _why(self) -> StoreError:
        if self._current is not None and not self._is_closed:
            if self._current.why_ended is not None:
                return StoreUnavailableError(self._current.why_ended)
            return StoreUnavailableError(f"Redis at {self._current.name} has more calls waiting than it can take")
        return type(self.fault)(*self.fault.args)  # a fresh one: each raise adds to an exception's traceback

    async def _keep(self) -> None:
        attempt = 0
        loop = asyncio.get_running_loop()
        while True:
            if self._current is None:
                attempt += 1
                await self._pause(attempt)
                if not await self._tries_again():
                    continue
            assert self._current is not None
            since = loop.time()
            await asyncio.wait((self._current.lost,))
            self.fault = StoreUnavailableError(self._current.lost.result())
            self._current = None
            self._down_since = loop.time()
            log.warning("%s; connecting again", self.fault)
            if loop.time() - since >= SHORT_LIFE:
                attempt = 0

    async def _pause(self, attempt: int) -> None:
        self._is_worth_trying.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_before(attempt, *self._pauses)):
                await self._is_worth_trying.wait()

    async def _tries_again(self) -> bool:
        try:
            connection = await self._dial()
        except StoreError as fault:
            if str(fault) != str(self.fault):
                log.warning("%s; trying again", fault)
            self.fault = fault
            return False
        self._adopt(connection)
        log.info("connected to Redis at %s", connection.name)
        return True

    def _adopt(self, connection: Connection) -> None:
        self._current = connection
        self._down_since = None
        connection.on_flow = self._flow_changed
        if not connection.lost.done():
            self._flow_changed(True)

    def _flow_changed(self, takes_calls: bool) -> None:
        self.connection = self._current if takes_calls else None
        if takes_calls and self._waiters:
            self._wake_some()

    def _wake_some(self) -> None:
        """Let some of those who wait go on, and the next ones after them if there is room yet.

        All at once would be a stampede: most would find the connection full again.
        """
        woken = 0
        while self._waiters and woken < WOKEN_AT_ONCE and (self.connection is not None or self._is_closed):
            waiter = next(iter(self._waiters))
            del self._waiters[waiter]
            if not waiter.done():
                waiter.set_result(None)
                woken += 1
        if woken and self._waiters:
            asyncio.get_running_loop().call_soon(self._wake_some)
