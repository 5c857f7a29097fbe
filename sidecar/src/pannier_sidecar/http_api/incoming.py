"""The body of a request that is handed on while it arrives. Imported with the first such request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from ..serving import time_to_take
from ..state.errors import StateError

if TYPE_CHECKING:
    from .messages import StreamedCall

AHEAD: Final = 64 * 1024
"""Bytes that may arrive before anybody asks for them."""


class BodyCutError(StateError):
    """The rest of the body did not come, or is not taken."""

    retry_after = 1  # of those with status 503

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message, "nothing was stored")
        self.http_status = status
        self.code = code  # type: ignore[misc]  # that of the refusal


class Sender(Protocol):
    """The connection that a body comes from."""

    def read_on(self) -> bool:
        """Read more of the body. Return whether some of it had arrived already, and was fed."""

    def wait_with_reading(self) -> None:
        """Read no more of the body until `read_on`."""

    def hold(self, size: int) -> None:
        """Count bytes that are held for the client, or no longer held."""


class IncomingBody:
    """One body. Its length is that of what has arrived so far."""

    __slots__ = (
        "_buffer",
        "_error",
        "_given",
        "_is_complete",
        "_more",
        "_received",
        "_seen",
        "_sender",
        "_silent_for",
        "_waited",
        "_wanted",
        "call",
        "size",
    )

    def __init__(self, sender: Sender, size: int | None):
        """`size`: the bytes of all of it, if the client has said so."""
        self.size = size
        self.call: StreamedCall | None = None
        """The request that has this body."""
        self._sender = sender
        self._buffer = bytearray()
        self._given = 0
        """Bytes of the last part that was returned, which whoever reads is assumed to hold until it asks for more."""
        self._received = 0
        self._wanted = 0
        self._is_complete = False
        self._error: StateError | None = None
        self._more: asyncio.Future[None] | None = None
        """Wakes who reads, while it waits for the client."""
        self._waited = self._silent_for = 0.0
        self._seen = 0

    def __len__(self) -> int:
        return self._received

    def __bool__(self) -> bool:
        return True

    @property
    def held(self) -> int:
        """Bytes that are held and counted."""
        return len(self._buffer) + self._given

    # --- called by the connection ---------------------------------------------------------------------------------

    def feed(self, data: bytes | bytearray) -> None:
        """Take bytes that have arrived."""
        self._buffer += data
        self._sender.hold(len(data))
        self._received += len(data)
        if len(self._buffer) >= self._wanted:
            self._wake()
        if len(self._buffer) >= max(AHEAD, self._wanted):
            self._sender.wait_with_reading()

    def finish(self, *, keep_alive: bool) -> None:
        """Note that all of it has arrived."""
        self._is_complete = True
        if self.call is not None:
            self.call.keep_alive, self.call = keep_alive, None
        self._wake()

    def fail(self, error: StateError) -> None:
        """Have whoever reads it get the error."""
        if not self._is_complete and self._error is None:
            self._error = error
            self._wake()

    def judge(self, elapsed: float, stalled: float) -> None:
        """Give a client up that sends nothing for `stalled` seconds, or too slowly. `elapsed`: seconds since the last
        time. The time that the store takes does not count.
        """
        if self._more is None:
            self._silent_for = 0.0
            return
        self._waited += elapsed
        self._silent_for = self._silent_for + elapsed if self._received == self._seen else 0.0
        self._seen = self._received
        if self._silent_for > stalled or self._waited > time_to_take(self._received, stalled):
            self.fail(BodyCutError(408, "ERR_REQUEST_TIMEOUT", "the body arrived too slowly; send it faster"))

    # --- called by who reads --------------------------------------------------------------------------------------

    async def read(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer, or none, at the end. Raises BodyCutError."""
        self._sender.hold(-self._given)
        self._given, self._wanted = 0, size
        while len(self._buffer) < size and not self._is_complete:
            if self._error is not None:
                raise self._error
            if self._sender.read_on():
                continue
            self._more = asyncio.get_running_loop().create_future()
            try:
                await self._more
            finally:
                self._more = None
        if self._error is not None:
            raise self._error
        part = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        self._given = len(part)
        return part

    def discard(self) -> None:
        """Drop what has arrived, and count it no longer."""
        held, self._buffer, self._given = self.held, bytearray(), 0
        self.call = None  # it refers to this body
        self._sender.hold(-held)

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)
