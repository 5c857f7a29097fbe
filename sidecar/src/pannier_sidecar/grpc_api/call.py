"""One call, and the messages in its request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .framing import PREFIX_SIZE, first_end
from .method import NOT_GRPC
from .status import Code, StatusError

if TYPE_CHECKING:
    import asyncio

    from ..http2.headers import Headers


class Call:
    """One call, from its headers to its trailers."""

    __slots__ = (
        "has_begun",
        "headers",
        "held",
        "id",
        "is_whole",
        "kept",
        "kept_behind",
        "method",
        "queued",
        "received",
        "since",
        "task",
        "timer",
        "waits",
    )

    kept: float
    """When the queued part of the answer was queued; unset without one."""
    kept_behind: int
    """Bytes that were queued on the connection at that time, the call's own included."""

    def __init__(self, stream_id: int, headers: Headers, now: float):
        self.id = stream_id
        self.headers = headers
        self.method = NOT_GRPC
        self.received: bytes | bytearray = b""
        self.is_whole = False
        """The client has sent its whole request."""
        self.since = now
        """When the request began to arrive, or when the answer last made progress."""
        self.has_begun = False
        """The headers of the answer are written."""
        self.held = 0
        """Bytes that are counted for its request until the call ends."""
        self.queued = 0
        """Bytes of its answer that wait for the client's windows."""
        self.waits = False
        """The request is whole, and waits in the gate until the client has read other answers."""
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        """Fires at the call's deadline."""

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
