"""One server for as long as the store is open: connects when a call needs it, and again after a loss."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from pannier_sidecar.network.pipeline import ConnectionLostError
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from pannier_sidecar.state.requests import Write

    from .connection import Connection, Reply
    from .dialling import Dialler
    from .settings import Address

log = logging.getLogger(__name__)

PAUSE_S: Final = 0.25
"""After a failed attempt to connect, calls fail at once for so long; then one tries again, others still fail."""


class Host:
    """A server, and the one connection to it."""

    def __init__(self, address: Address, dialler: Dialler, timeout: float):
        self.current: Connection | None = None
        """To send on while it takes calls; else `connected` returns one that does."""
        self._address = address
        self._dialler = dialler
        self._timeout = timeout
        self._dialling: asyncio.Task[StoreError | None] | None = None
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
                await self._dialled()
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
            raise _fault(lost, write) from lost
        connection = await self.connected()
        try:
            return await connection.send(payload), connection
        except ConnectionLostError as lost_again:
            raise _fault(lost_again, write) from lost_again

    async def close(self) -> None:
        """End the connection; calls in flight fail. Does not come back."""
        self._is_closed = True
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.wait((self._dialling,))
        if self.current is not None:
            self.current.abort("the memcached store is closed")
            await asyncio.wait((self.current.lost,))

    async def _dialled(self) -> None:
        """Return when there is a new connection: the same attempt for all who wait. Raises a StoreError."""
        is_tried = self._dialling is not None or asyncio.get_running_loop().time() < self._tries_again_at
        if self._fault is not None and is_tried:
            raise type(self._fault)(*self._fault.args)
        if self._dialling is None:
            self._dialling = asyncio.create_task(self._dial())
            self._dialling.add_done_callback(self._forget_dialling)
        done, _ = await asyncio.wait((self._dialling,))
        [task] = done
        fault = StoreUnavailableError("the memcached store is closed") if task.cancelled() else task.result()
        if fault is not None:
            raise type(fault)(*fault.args)  # a fresh one: each raise adds to an exception's traceback

    async def _dial(self) -> StoreError | None:
        if self.current is not None:
            log.warning("%s; connecting again", self.current.why_ended)
        try:
            self.current = await self._dialler.dial(self._address)
        except StoreError as fault:
            self._fault = fault
            self._tries_again_at = asyncio.get_running_loop().time() + PAUSE_S
            return fault
        self._fault = None
        return None

    def _forget_dialling(self, _: object) -> None:
        self._dialling = None

    async def _room_on(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await connection.room.wait()
        except TimeoutError as error:
            raise StoreUnavailableError(
                f"memcached at {self._address} has more calls waiting than it can take"
            ) from error


def _fault(lost: ConnectionLostError, write: Write | None) -> StoreError:
    if write is None or not lost.was_sent:
        return StoreUnavailableError(str(lost))
    return OutcomeUnknownError(str(lost))
