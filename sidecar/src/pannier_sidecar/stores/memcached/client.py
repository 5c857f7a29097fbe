"""Keeps the connection to one server while the store is open: connects when a call needs it, and again after a loss."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from pannier_sidecar.network.pipeline import ConnectionLostError
from pannier_sidecar.network.reconnecting import ReconnectingConnection
from pannier_sidecar.state.errors import StoreError, StoreUnavailableError

from . import errors
from .connection import Connection

if TYPE_CHECKING:
    from pannier_sidecar.state.requests import Write

    from .connecting import Connector
    from .protocol import Reply
    from .settings import Address

log = logging.getLogger(__name__)

PAUSE_S: Final = 0.25
"""How long calls fail at once after a failed attempt to connect; then one tries again, while others still fail."""


class Host(ReconnectingConnection[Connection]):
    """A server, and the one connection to it, which is made when a call needs it."""

    def __init__(self, address: Address, connector: Connector, timeout: float):
        super().__init__(lambda: connector.dial(address), "memcached")
        self._timeout = timeout
        self._has_failed = False
        """Whether the last attempt to connect failed."""
        self._tries_again_at = 0.0

    async def connected(self) -> Connection:
        """Return a connection that takes calls. Raises a StoreError if there is none in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        while self.connection is None:
            if self._is_closed:
                raise self._why()
            if not self.is_connected:
                await self._reconnect()
            elif loop.time() < deadline:
                await self._wait(deadline)
            else:
                raise self._why()
        return self.connection

    async def answers(self) -> None:
        """Return if the server answers now. Raises a StoreError."""
        try:
            await (await self.connected()).send(b"mn\r\n")
        except ConnectionLostError as lost:
            raise StoreUnavailableError(str(lost)) from lost

    async def resend(self, payload: bytes, lost: ConnectionLostError, write: Write | None) -> tuple[Reply, Connection]:
        """Send a lost call again where that is safe; return the answer and the connection that it came on.

        A read may be repeated. A write may not if it was sent, because others may have written since. A write with a
        precondition never may, because its ETag belongs to one run of the server. Raises a StoreError.
        """
        if lost.timed_out or (write is not None and (lost.was_sent or write.is_conditional)):
            raise errors.translate(lost, is_write=write is not None) from lost
        connection = await self.connected()
        try:
            return await connection.send(payload), connection
        except ConnectionLostError as second_loss:
            raise errors.translate(second_loss, is_write=write is not None) from second_loss

    def _may_go_on(self) -> bool:
        return super()._may_go_on() or not self.is_connected  # the first call then connects

    async def _reconnect(self) -> None:
        """Return when there is a new connection; all waiting calls share one attempt. Raises a StoreError."""
        is_tried = self._connecting is not None or asyncio.get_running_loop().time() < self._tries_again_at
        if self._has_failed and is_tried:
            raise self._why()
        attempt = self._connecting
        if attempt is None:
            attempt = self._connecting = asyncio.create_task(self._connect())
            attempt.add_done_callback(self._forget_connecting)
        await asyncio.wait((attempt,))
        if not attempt.cancelled():
            attempt.result()
        if self._has_failed:
            raise self._why()

    async def _connect(self) -> None:
        if self._current is not None:
            log.warning("%s; connecting again", self._current.why_ended)
        try:
            self._adopt(await self._dial())
            self._has_failed = False
        except StoreError as error:
            self._current = None
            self.last_error = error
            self._has_failed = True
            self._tries_again_at = asyncio.get_running_loop().time() + PAUSE_S

    def _forget_connecting(self, _: object) -> None:
        self._connecting = None
