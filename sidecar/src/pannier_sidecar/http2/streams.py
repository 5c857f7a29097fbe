"""The streams of a connection (RFC 9113, 5)."""

from __future__ import annotations

from collections import deque
from typing import Final

from msgspec import Struct

from .frames import ErrorCode, Http2ConnectionError, Http2StreamError, Prepared

NOTHING: Final = memoryview(b"")


class Stream(Struct, gc=False):
    """The state of an arriving request and of its answer."""

    id: int
    window: int
    """Bytes of DATA that the client accepts."""
    receive_window: int
    """Bytes of DATA that we accept."""
    content_length: bytes | None = None
    """The length that the request declares."""
    length: int = 0
    """Bytes of DATA so far."""
    is_ended: bool = False
    """The client has sent everything."""
    to_send: memoryview = NOTHING
    """DATA that the client's windows do not allow yet."""
    trailers: Prepared | None = None
    """The frame that follows `to_send`."""

    def end(self) -> None:
        """Note that the request is whole. Raises Http2StreamError if its length is not as declared."""
        self.is_ended = True
        if self.content_length is not None:
            self.check_length()

    def check_length(self) -> None:
        """Raise Http2StreamError if the length of a whole request is not as declared (8.1.1)."""
        if self.content_length != b"%d" % self.length:
            raise Http2StreamError(self.id, ErrorCode.PROTOCOL_ERROR)


class Streams(dict[int, Stream]):
    """The open streams by id, and the ids of streams that were reset or closed lately."""

    __slots__ = ("ended", "given_up", "last_id")

    def __init__(self) -> None:
        super().__init__()
        self.last_id = 0
        """Highest stream that the client opened."""
        self.given_up: deque[int] = deque(maxlen=1000)
        """Streams that we ended with RST_STREAM; frames for them may still arrive (5.4.2)."""
        self.ended: deque[int] = deque(maxlen=1000)
        """Streams that are closed, by both sides or by the client's RST_STREAM."""

    def find(self, stream_id: int) -> Stream | None:
        """Return the stream of a frame; None if we have reset it and the client may not know that yet (5.4.2).

        Raises Http2ConnectionError for any other stream that is not open.
        """
        stream = self.get(stream_id)
        if stream is not None or stream_id in self.given_up:
            return stream
        if stream_id == 0 or stream_id > self.last_id:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, f"a frame on stream {stream_id}, which is idle")
        code = ErrorCode.STREAM_CLOSED if stream_id in self.ended else ErrorCode.PROTOCOL_ERROR
        raise Http2ConnectionError(code, f"a frame on stream {stream_id}, which is not open")
