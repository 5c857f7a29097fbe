"""Keeps one connection to a server while a store is open: replaces it when it ends, has calls wait while it is full.

Subclasses decide when to connect: `Link` of Redis stays connected, so that no call has to wait for it; `Host` of
memcached connects when a call needs it, so that a server that stays away costs nothing. PostgreSQL and MySQL, which
answer one call at a time on a connection, have a pool instead (`connection_pool.py`, decision 17). The channels of etcd
and Spanner (`grpc_channels.py`) and the client libraries of the other stores reconnect by themselves. Subclasses also
decide how long to pause between attempts (`pause_before` in `redis/reconnecting.py`).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from pannier_sidecar.network.pipeline import Pipeline
from pannier_sidecar.state.errors import StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WOKEN_AT_ONCE: Final = 16

Connected = TypeVar("Connected", bound=Pipeline)


class ReconnectingConnection(Generic[Connected]):
    """A connection that is made again after it has ended."""

    def __init__(self, dial: Callable[[], Awaitable[Connected]], database: str):
        """`dial` makes a connection, and raises a StoreError. `database` is what the store is called in messages."""
        self.connection: Connected | None = None
        """The connection to send on; None while there is none, or while it takes no more calls."""
        self.last_error: StoreError = StoreUnavailableError(f"not connected to {database} yet")
        """Why there is no connection."""
        self._dial = dial
        self._database = database
        self._current: Connected | None = None
        """The connection that was made last; it may have ended."""
        self._connecting: asyncio.Task[object] | None = None
        """The task that connects and reconnects."""
        self._waiters: dict[asyncio.Future[None], None] = {}
        """Calls that wait, in the order they came."""
        self._is_closed = False

    async def close(self) -> None:
        """End the connection for good; calls in flight fail."""
        self._is_closed = True
        self.last_error = StoreUnavailableError(f"the {self._database} store is closed")
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        if self._current is not None:
            self._current.abort(str(self.last_error))
            await asyncio.wait((self._current.lost,))
            self._current = None
        self._wake_some()

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, even if it takes no more calls at the moment."""
        return self._current is not None and self._current.why_ended is None

    def _adopt(self, connection: Connected) -> None:
        self._current = connection
        connection.on_flow = partial(self._flow_changed, connection)
        if not connection.lost.done():
            self._flow_changed(connection, True)

    async def _wait(self, deadline: float) -> None:
        """Wait until the call may go on, after all earlier calls, or until `deadline` (loop time)."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            async with asyncio.timeout_at(deadline):
                await waiter
        except TimeoutError:
            return
        finally:
            self._waiters.pop(waiter, None)

    def _why(self) -> StoreError:
        """Return the error for a call that cannot be sent."""
        if self._current is None or self._is_closed:
            # A new exception, because each raise adds to the traceback of an old one.
            return type(self.last_error)(*self.last_error.args)
        if self._current.why_ended is not None:
            return StoreUnavailableError(self._current.why_ended)
        return too_busy(self._current.server)

    def _may_go_on(self) -> bool:
        """Return whether it makes sense to wake a call that waits."""
        return self.connection is not None or self._is_closed

    def _flow_changed(self, connection: Connected, takes_calls: bool) -> None:
        if connection is not self._current:  # an earlier one, which reports its end only now
            return
        self.connection = connection if takes_calls else None
        if self._waiters:
            self._wake_some()

    def _wake_some(self) -> None:
        """Let some of the waiting calls go on, and more of them later if there is still room.

        If all were woken at once, most would find the connection full again.
        """
        woken = 0
        while self._waiters and woken < WOKEN_AT_ONCE and self._may_go_on():
            waiter = next(iter(self._waiters))
            del self._waiters[waiter]
            if not waiter.done():
                waiter.set_result(None)
                woken += 1
        if woken and self._waiters:
            asyncio.get_running_loop().call_soon(self._wake_some)


def too_busy(server: str) -> StoreUnavailableError:
    """Return the error for a call for which there is no room."""
    return StoreUnavailableError(f"{server} has more calls waiting than it can take; try again later")
