"""One call, and the messages in its request."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from ..http2.headers import Headers
from .framing import PREFIX_SIZE, first_end
from .method import Method
from .status import Code, StatusError


class Call(Struct):
    """One call, from its headers to its trailers."""

    id: int
    headers: Headers
    since: float
    """When the request began to arrive, or when the answer last made progress."""
    method: Method
    received: bytes | bytearray = b""
    is_whole: bool = False
    """The client has sent its whole request."""
    has_begun: bool = False
    """The headers of the answer are written."""
    held: int = 0
    """Bytes that are counted for its request until the call ends."""
    queued: int = 0
    """Bytes of its answer that wait for the client's windows."""
    kept: float = 0.0
    """When the queued part of the answer was queued."""
    kept_behind: int = 0
    """Bytes that were queued on the connection at that time, the call's own included."""
    waits: bool = False
    """The request is whole, and waits in the gate until the client has read other answers."""
    is_begun: bool = False
    """It is on the fast path, and neither answered nor closed."""
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    """Fires at the call's deadline."""
    taken: asyncio.Future[None] | None = None
    """Of a streamed answer: its result lets the next messages be sent, because the client has taken those before."""

    def add(self, data: bytes) -> None:
        """Keep a part of the request."""
        if not self.received:
            self.received = bytearray()
        self.received += data

    def next_message(self) -> tuple[bytes, bool] | None:
        """Return the next message, and whether it is compressed; None if it has not arrived yet. Raises StatusError for
        a complete request that the method does not take.
        """
        received, is_unary = self.received, not self.method.is_streaming
        end = first_end(received)
        if end is None:
            if self.is_whole and received:
                raise StatusError(Code.INTERNAL, "the request ended within a message")
            if self.is_whole and is_unary:
                raise StatusError(Code.UNIMPLEMENTED, "the request has no message")
            return None
        if is_unary and len(received) > end:
            raise StatusError(Code.UNIMPLEMENTED, "the request has more than one message")
        message = bytes(received[PREFIX_SIZE:end])
        is_compressed = received[0] != 0
        if isinstance(received, bytearray):
            del received[:end]
        else:
            self.received = b""
        return message, is_compressed
