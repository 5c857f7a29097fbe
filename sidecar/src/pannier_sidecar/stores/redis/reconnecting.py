"""Keeps the connection to one server while the store is open: connects again whenever it ends."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Final

from pannier_sidecar.network.jitter import uniform
from pannier_sidecar.network.reconnecting import ReconnectingConnection
from pannier_sidecar.state.errors import StoreError, StoreUnavailableError

from .connection import Connection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

MIN_LIFETIME_S: Final = 1.0
"""Seconds; a connection that ends sooner counts as a failed attempt."""


def pause_before(attempt: int, minimum: float, maximum: float) -> float:
    """Return the seconds to wait before an attempt (1 is the first): doubling, with full jitter.

    The jitter keeps the sidecars of a cluster from coming back to a restarted server all in the same moment.
    """
    return uniform(0, min(maximum, minimum * 2 ** min(attempt, 30)))


class Link(ReconnectingConnection[Connection]):
    """A connection that is made again at once when it ends."""

    def __init__(
        self,
        dial: Callable[[], Awaitable[Connection]],
        min_pause: float,
        max_pause: float,
        patience: float = inf,
    ):
        """Have calls wait for `patience` seconds of an outage; after that they fail at once until it ends."""
        super().__init__(dial, "Redis")
        self._pauses = (min_pause, max_pause)
        self._patience = patience
        self._down_since: float | None = None
        """Loop time at which the outage began; None: there is none."""
        self._early_retry = asyncio.Event()
        """Set to end the pause before the next attempt."""

    async def open(self) -> None:
        """Connect now. Raises a StoreError."""
        self._adopt(await self._dial())
        self.start()

    def start(self) -> None:
        """Connect in the background."""
        if self._connecting is None and not self._is_closed:
            if self._current is None:
                self._down_since = asyncio.get_running_loop().time()
            self._connecting = asyncio.create_task(self._keep())

    def drop(self, reason: str) -> None:
        """End the connection, which leads to the wrong server, and make another one."""
        if self._current is not None:
            self._current.abort(reason)

    def drop_unless_at(self, server: str, why: str) -> None:
        """End a connection to any other server than this one (host:port), for the reason `why`."""
        if self._current is not None and self._current.name != server:
            self._current.abort(why)

    def retry_now(self) -> None:
        """Try to connect without further pause, because it will probably succeed."""
        self._early_retry.set()

    async def usable(self, deadline: float, write_timeout: float) -> Connection:
        """Return the connection as soon as it takes calls. Raises the link's error at `deadline` (loop time)."""
        loop = asyncio.get_running_loop()
        if self.is_connected:
            deadline = min(deadline, loop.time() + write_timeout)
        while self.connection is None:
            self.start()
            deadline = min(deadline, self.waits_until)
            if self._is_closed or loop.time() >= deadline:
                raise self._why()
            await self._wait(deadline)
        return self.connection

    @property
    def waits_until(self) -> float:
        """Loop time until which a call waits for a connection in this outage."""
        return inf if self._down_since is None else self._down_since + self._patience

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
            self.last_error = StoreUnavailableError(self._current.lost.result())
            self._current = None
            self._down_since = loop.time()
            log.warning("%s; connecting again", self.last_error)
            if loop.time() - since >= MIN_LIFETIME_S:
                attempt = 0

    async def _pause(self, attempt: int) -> None:
        self._early_retry.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_before(attempt, *self._pauses)):
                await self._early_retry.wait()

    async def _tries_again(self) -> bool:
        try:
            connection = await self._dial()
        except StoreError as error:
            if str(error) != str(self.last_error):
                log.warning("%s; trying again", error)
            self.last_error = error
            return False
        self._adopt(connection)
        log.info("connected to Redis at %s", connection.name)
        return True

    def _adopt(self, connection: Connection) -> None:
        self._down_since = None
        super()._adopt(connection)
