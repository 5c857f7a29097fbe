"""The output of one connection: frames in order, and as much DATA as the client's windows allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import frames
from .streams import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .frames import Prepared
    from .handler import Handler, Writer
    from .streams import Stream

MAX_QUEUED: Final = 256 * 1024
"""Maximum of bytes of delayed DATA that one `take` returns."""
FRAGMENT: Final = 1024
"""If the connection's window has fewer bytes than this, no part of an answer is sent. Otherwise a client that opens its
window by what it has read would get smaller and smaller parts (the silly window syndrome).
"""


class Output:
    """The outgoing half of a connection (RFC 9113, 5.2)."""

    __slots__ = (
        "_frames",
        "_handler",
        "_late",
        "_ready",
        "_taken_next",
        "_writer",
        "frame_size",
        "is_paused",
        "queued",
        "window",
    )

    def __init__(self, handler: Handler, writer: Writer):
        self._handler = handler
        self._writer = writer
        self.window = frames.DEFAULT_WINDOW
        """Bytes of DATA that the client accepts, over all streams."""
        self.frame_size = frames.MAX_FRAME
        self.is_paused = False
        """The client does not read what was written, so DATA waits. Set by the writer; `go_on` continues."""
        self.queued = 0
        """Bytes of DATA that wait on all streams."""
        self._ready: dict[int, Stream] = {}
        """Streams with DATA to send whose own windows are open."""
        self._frames: list[bytes] = []
        self._taken_next = 0
        """Bytes of DATA in `_frames` that had to wait."""
        self._late: list[bytes] = []
        """Frames that are written together with the next other frames."""

    # --- for the writer --------------------------------------------------------------------------------------------

    def take(self) -> bytes:
        """Return the bytes to write now."""
        taken, self._frames = self._frames, []
        self._taken_next = 0
        if self._late:
            taken += self._late
            self._late.clear()
        return b"".join(taken)

    @property
    def has_more(self) -> bool:
        """Whether `Http2Connection.go_on` has DATA to send, because one `take` returns only a bounded part."""
        return not self.is_paused and any(self._part(stream) for stream in self._ready.values())

    # --- for the connection ---------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Add whole frames."""
        if not self._frames:
            self._writer.output_ready()
        self._frames.append(data)

    def write_at_once(self, data: bytes) -> None:
        """Write whole frames now, unless others wait already."""
        if self._frames or self._late:
            self.write(data)
        else:
            self._writer.write_now(data)

    def write_late(self, data: bytes) -> None:
        """Add frames that may wait for others, because a write is the most expensive step."""
        if not self._late:
            self._writer.output_may_wait()
        self._late.append(data)

    def send(
        self,
        stream: Stream,
        headers: Prepared | None,
        data: bytes,
        trailers: Prepared | None,
        *,
        is_alone: bool = False,
    ) -> bool:
        """Send headers, then as much of the DATA and trailers as the windows allow; the rest waits. Return whether
        everything is written, the trailers too.

        With `is_alone` it is written at once, because no other answer is expected that could share the write.
        """
        size = len(data)
        fits = 0 < size <= self.window and size <= stream.window and size <= self.frame_size
        if fits and not stream.to_send and not self.is_paused:  # nearly always: one write for all of it
            self.window -= size
            stream.window -= size
            header = frames.header(size, frames.DATA, 0, stream.id)
            if headers is None or trailers is None:
                first = b"" if headers is None else headers.on(stream.id)
                last = b"" if trailers is None else trailers.on(stream.id)
                self.write(b"".join((first, header, data, last)))
                return trailers is not None
            number = header[5:]
            whole = b"".join(
                (headers.start, number, headers.payload, header, data, trailers.start, number, trailers.payload)
            )
            (self.write_at_once if is_alone else self.write)(whole)
            return True
        if headers is not None:
            self.write(headers.on(stream.id))
        stream.trailers = trailers
        if size:
            stream.to_send = memoryview(bytes(stream.to_send) + data)
            self.queued += size
            self._handler.data_queued(stream.id, size)
        return self.send_waiting(stream)

    def send_waiting(self, stream: Stream) -> bool:
        """Send as much waiting DATA as the windows allow. Return whether all is written, the trailers too."""
        while stream.to_send and not self.is_paused and self._taken_next < MAX_QUEUED:
            size = self._part(stream)
            if not size:
                break
            self.window -= size
            stream.window -= size
            self._taken_next += size
            self.queued -= size
            self.write(frames.frame(frames.DATA, 0, stream.id, bytes(stream.to_send[:size])))
            stream.to_send = stream.to_send[size:]
            self._handler.data_dequeued(stream.id, size)
        if stream.to_send and stream.window > 0:
            self._ready[stream.id] = stream
        else:
            self._ready.pop(stream.id, None)
        if stream.to_send or stream.trailers is None:
            return False
        self.write(stream.trailers.on(stream.id))
        return True

    def _part(self, stream: Stream) -> int:
        """Return how many of the bytes that wait on a stream may be sent now in one frame; 0: none, or too few."""
        size = min(len(stream.to_send), self.window, stream.window, self.frame_size)
        is_fragment = size == self.window < FRAGMENT and size < len(stream.to_send)
        return 0 if is_fragment else max(size, 0)

    def go_on(self) -> Iterator[Stream]:
        """Send what waits on the streams whose windows allow it. Yield the streams on which everything is written."""
        for stream in list(self._ready.values()):
            if stream.to_send and self.send_waiting(stream):
                yield stream
            if self.is_paused or self.window <= 0 or self._taken_next >= MAX_QUEUED:
                break

    def drop(self, stream: Stream) -> None:
        """Forget what waits on a stream."""
        self.queued -= len(stream.to_send)
        stream.to_send = NOTHING
        self._ready.pop(stream.id, None)

    def clear(self) -> None:
        """Forget everything."""
        self._frames.clear()
        self._late.clear()
        self._ready.clear()
