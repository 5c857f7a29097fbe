"""Connections counted until the server has closed them too.

A server that hangs does not notice that a caller has given up and closed its connection, so each call that times out
would leave one more behind. Here a connection that the client library closes is only shut for writing, and counts as
taken until the server has closed it. Calls wait for a free one, so the server never has more than the limit.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Protocol

    class _Handle(Protocol):
        def fileno(self) -> int: ...


GIVEN_UP_AFTER_S: Final = 300.0
"""Seconds after which a connection that the server has not closed no longer counts: a proxy may keep it for ever."""
UNANSWERED_MS: Final = 30_000
"""If the closing is not acknowledged for so long, the kernel drops the connection: the server has lost it too."""


class TooManyConnectionsError(OSError):
    """All connections are in use, or the server has not closed earlier ones; nothing was sent."""

    def __init__(self) -> None:
        super().__init__("all connections are taken, by calls or because the server does not close them")


class Connections:
    """A limit on the connections to one server, including those that the server has not closed yet.

    Each call is made in an `async with` block. It waits until there is room, and raises TooManyConnectionsError if
    there is none in time.
    """

    def __init__(self, limit: int, patience: float):
        """`patience` is how many seconds a call waits for room."""
        self.limit = limit
        self._patience = patience
        self._is_closed = False
        self._calls = 0
        self._open: set[TrackedConnection] = set()
        self._half_closed: dict[TrackedConnection, asyncio.TimerHandle] = {}
        """Connections that only the server still has open, and the timers after which they no longer count."""
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Wait until there is room for one more connection. Raises TooManyConnectionsError."""
        if self._is_full:
            await self._wait_for_room()
        self._calls += 1

    def leave(self) -> None:
        """Make room for another call."""
        self._calls -= 1
        self._wake()

    async def __aenter__(self) -> None:
        await self.enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave()

    @property
    def _is_full(self) -> bool:
        return self._calls + len(self._half_closed) >= self.limit

    async def _wait_for_room(self) -> None:
        waiter = None
        try:
            async with asyncio.timeout(self._patience):
                while self._is_full:
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.append(waiter)
                    await waiter
        except (TimeoutError, asyncio.CancelledError) as error:
            if waiter is not None and waiter.done() and not waiter.cancelled():
                self._wake()  # another one gets the room instead
            if isinstance(error, TimeoutError):
                raise TooManyConnectionsError from None
            raise

    def make_socket(self, address: tuple[Any, ...]) -> socket.socket:
        """Make a socket for a connection, as aiohttp asks for it. Raises TooManyConnectionsError."""
        family, kind, protocol, *_ = address
        if len(self._open) + len(self._half_closed) >= self.limit:
            raise TooManyConnectionsError
        return _Socket(self, family, kind, protocol)

    def count(self, handle: _Handle) -> TrackedConnection:
        """Count a connection that a client library has made; the caller reports when the library closes it."""
        counted = TrackedConnection(self._on_client_close, socket.socket(fileno=os.dup(handle.fileno())))
        self._open.add(counted)
        return counted

    def close(self) -> None:
        """Close all connections; no more are made."""
        self._is_closed = True
        for counted in list(self._half_closed):
            self._forget(counted)
        for counted in self._open:
            counted.close()

    def _on_client_close(self, counted: TrackedConnection) -> None:
        if counted not in self._open:
            return
        self._open.discard(counted)
        loop = asyncio.get_running_loop()
        if self._is_closed or not counted.shut():
            counted.close()
            return
        self._half_closed[counted] = loop.call_later(GIVEN_UP_AFTER_S, self._forget, counted)
        loop.add_reader(counted.handle, self._on_readable, counted)

    def _on_readable(self, counted: TrackedConnection) -> None:
        if counted.has_ended():
            self._forget(counted)

    def _forget(self, counted: TrackedConnection) -> None:
        timer = self._half_closed.pop(counted, None)
        if timer is not None:
            timer.cancel()
            asyncio.get_running_loop().remove_reader(counted.handle)
            counted.close()
            self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


class TrackedConnection:
    """A duplicate handle of a connection that shows when the server has closed it."""

    def __init__(self, on_client_close: Callable[[TrackedConnection], None], handle: socket.socket):
        self.handle = handle
        self._on_client_close = on_client_close
        handle.setblocking(False)

    def on_client_close(self) -> None:
        """Note that the client has closed its handle."""
        self._on_client_close(self)

    def shut(self) -> bool:
        """Shut the connection for writing; return whether it was still open."""
        with suppress(OSError, AttributeError):  # not every system has it
            self.handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)
        try:
            self.handle.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    def has_ended(self) -> bool:
        try:
            return not self.handle.recv(65536)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True

    def close(self) -> None:
        self.handle.close()


class _Socket(socket.socket):
    """A socket that reports when the client library closes it."""

    def __init__(self, owner: Connections, family: int, kind: int, protocol: int):
        super().__init__(family, kind, protocol)
        self._counted: TrackedConnection | None = owner.count(self)

    def close(self) -> None:
        super().close()
        self._report_closed()

    def detach(self) -> int:
        """Detach the socket, as uvloop does, which closes the connection itself."""
        number = super().detach()
        self._report_closed()
        return number

    def _report_closed(self) -> None:
        counted, self._counted = self._counted, None
        if counted is not None:
            counted.on_client_close()
