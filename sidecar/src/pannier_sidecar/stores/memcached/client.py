"""One server for as long as the store is open: connects when a call needs it, and again after a loss."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from pannier_sidecar.network.pipeline import ConnectionLostError
from pannier_sidecar.state.errors import StoreError, StoreUnavailableError

from . import errors

if TYPE_CHECKING:
    from pannier_sidecar.state.requests import Write

    from .connecting import Connector
    from .connection import Connection
    from .protocol import Reply
    from .settings import Address

log = logging.getLogger(__name__)

PAUSE_S: Final = 0.25
"""After a failed attempt to connect, calls fail at once for so long; then one tries again, others still fail."""


class Host:
    """A server, and the one connection to it."""

    def __init__(self, address: Address, connector: Connector, timeout: float):
        self.current: Connection | None = None
        """To send on while it takes calls; else `connected` returns one that does."""
        self._address = address
        self._connector = connector
        self._timeout = timeout
        self._connecting: asyncio.Task[StoreError | None] | None = None
        self._fault: StoreError | None = None
        """Why the last attempt to connect failed; None: it did not."""
        self._tries_again_at = 0.0
        self._is_closed = False

    async def connected(self) -> Connection:
        """Return a connection that takes calls. Raises a StoreError if there is none in time."""
        while True:
            if self._is_closed:
                raise StoreUnavailableError("the memcached store is closed")
            connection = self.current
            if connection is None or connection.why_ended is not None:
                await self._reconnect()
            elif connection.takes_calls:
                return connection
            else:
                await self._room_on(connection)

    async def answers(self) -> None:
        """Return if the server answers now. Raises a StoreError."""
        try:
            await (await self.connected()).send(b"mn\r\n")
        except ConnectionLostError as lost:
            raise StoreUnavailableError(str(lost)) from lost

    async def again(self, payload: bytes, lost: ConnectionLostError, write: Write | None) -> tuple[Reply, Connection]:
        """Send once more what was lost, where that is sound; return the answer and the connection that it came on.

        A read may be repeated. A write may not once it was sent, for others may have written since; nor one with a
        precondition, for the ETag belongs to the connection's run of the server. Raises a StoreError.
        """
        if lost.timed_out or (write is not None and (lost.was_sent or write.is_conditional)):
            raise errors.translate(lost, is_write=write is not None) from lost
        connection = await self.connected()
        try:
            return await connection.send(payload), connection
        except ConnectionLostError as lost_again:
            raise errors.translate(lost_again, is_write=write is not None) from lost_again

    async def close(self) -> None:
        """End the connection; calls in flight fail. Does not come back."""
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        if self.current is not None:
            self.current.abort("the memcached store is closed")
            await asyncio.wait((self.current.lost,))

    async def _reconnect(self) -> None:
        """Return when there is a new connection: the same attempt for all who wait. Raises a StoreError."""
        is_tried = self._connecting is not None or asyncio.get_running_loop().time() < self._tries_again_at
        if self._fault is not None and is_tried:
            raise type(self._fault)(*self._fault.args)
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._dial())
            self._connecting.add_done_callback(self._forget_connecting)
        done, _ = await asyncio.wait((self._connecting,))
        [task] = done
        fault = StoreUnavailableError("the memcached store is closed") if task.cancelled() else task.result()
        if fault is not None:
            raise type(fault)(*fault.args)  # a fresh one: each raise adds to an exception's traceback

    async def _dial(self) -> StoreError | None:
        if self.current is not None:
            log.warning("%s; connecting again", self.current.why_ended)
        try:
            self.current = await self._connector.dial(self._address)
        except StoreError as fault:
            self._fault = fault
            self._tries_again_at = asyncio.get_running_loop().time() + PAUSE_S
            return fault
        self._fault = None
        return None

    def _forget_connecting(self, _: object) -> None:
        self._connecting = None

    async def _room_on(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await connection.room.wait()
        except TimeoutError as error:
            raise StoreUnavailableError(
                f"memcached at {self._address} has more calls waiting than it can take"
            ) from error
