"""What goes out on one connection: once in each turn of the loop, and DATA as far as the client's windows allow."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from . import frames
from .stream import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..serving import Listener
    from .stream import Stream

MAX_QUEUED: Final = 256 * 1024
"""Bytes of DATA, among those that had to wait, that one turn of the loop writes."""
FRAGMENT: Final = 1024
"""Bytes of the connection's window that are not used for a part of an answer: a client that opens it by what it takes
would be sent ever smaller parts."""
POSTPONED: Final = 0.005
"""Seconds that the answer to a PING may wait for the answer of a call."""


class Sender:
    """The outgoing half of a connection (RFC 9113, 5.2)."""

    __slots__ = (
        "_budget",
        "_clock",
        "_finished",
        "_loop",
        "_outgoing",
        "_postponed",
        "_postponing",
        "_queued",
        "_ready",
        "_transport",
        "frame_size",
        "progressed",
        "stalled_since",
        "unread",
        "untaken",
        "window",
    )

    def __init__(self, transport: asyncio.Transport, shared: Listener[Any], finished: Callable[[Any], None]):
        """`finished` is called with each stream whose last bytes, trailers included, were written after waiting."""
        self._transport = transport
        self._clock = shared
        self._budget = shared.budget
        self._finished = finished
        self._loop = asyncio.get_running_loop()
        self.window = frames.DEFAULT_WINDOW
        """Bytes of DATA that the client takes, over all streams."""
        self.frame_size = frames.MAX_FRAME
        self.stalled_since: float | None = None
        """When the transport's buffer became full."""
        self.progressed = shared.now
        """When DATA that had to wait last went out."""
        self.untaken = 0
        """Bytes of DATA that wait on all streams."""
        self.unread = 0
        """Bytes that are written and still in the transport's buffer."""
        self._ready: dict[int, Stream] = {}
        """Streams with DATA to send whose own windows are open."""
        self._outgoing: list[bytes] = []
        self._queued = 0
        """Bytes of DATA in `_outgoing` that had to wait."""
        self._postponed: list[bytes] = []
        """Frames to be written with the next others, or when `_postponing` fires."""
        self._postponing: asyncio.TimerHandle | None = None

    def write(self, data: bytes) -> None:
        """Write whole frames, together with all others of this turn."""
        if not self._outgoing:
            self._loop.call_soon(self.flush)
        self._outgoing.append(data)

    def write_soon(self, data: bytes) -> None:
        """Write with the next answer: Go's clients send a PING with each call, and a write costs more than all else."""
        self._postponed.append(data)
        if self._postponing is None:
            self._postponing = self._loop.call_later(POSTPONED, self._write_postponed)

    def send(self, stream: Stream, headers: bytes, data: bytes) -> bool:
        """Send frames of headers, then DATA and the trailers as far as the windows allow; the rest waits.

        Return whether all is written, the trailers too.
        """
        size = len(data)
        fits = size <= self.window and size <= stream.window and size <= self.frame_size
        if fits and not stream.to_send and self.stalled_since is None:  # nearly always: one write for all of it
            self.window -= size
            stream.window -= size
            header = frames.header(size, frames.DATA, 0, stream.id) if size else b""
            self.write(b"".join((headers, header, data, stream.trailers or b"")))
            return stream.trailers is not None
        if headers:
            self.write(headers)
        if size:
            self._keep(stream, data)
        is_done = self.send_waiting(stream)
        if self._budget.held > self._budget.limit:
            self._budget.relieve()
        return is_done

    def _keep(self, stream: Stream, data: bytes) -> None:
        now = stream.since = self._clock.now
        stream.to_send = memoryview(bytes(stream.to_send) + data)
        self._count(len(data))
        stream.kept = now
        stream.kept_behind = self.untaken

    def _count(self, size: int) -> None:
        self.untaken += size
        self._budget.held += size

    def send_waiting(self, stream: Stream) -> bool:
        """Send what waits, as far as the windows allow. Return whether all is written, the trailers too."""
        while stream.to_send and self.stalled_since is None and self._queued < MAX_QUEUED:
            size = min(len(stream.to_send), self.window, stream.window, self.frame_size)
            if size <= 0 or (size == self.window < FRAGMENT and size < len(stream.to_send)):
                break
            stream.since = self.progressed = self._clock.now
            self.window -= size
            stream.window -= size
            self._queued += size
            self._count(-size)
            self.write(frames.frame(frames.DATA, 0, stream.id, bytes(stream.to_send[:size])))
            stream.to_send = stream.to_send[size:]
        if stream.to_send and stream.window > 0:
            self._ready[stream.id] = stream
        else:
            self._ready.pop(stream.id, None)
        if stream.to_send or stream.trailers is None:
            return False
        self.write(stream.trailers)
        return True

    def go_on(self) -> None:
        """Send what waits, on the streams whose windows allow it."""
        for stream in list(self._ready.values()):
            before = self.window
            if self.send_waiting(stream):
                self._finished(stream)
            if self.window in (0, before) or self._queued >= MAX_QUEUED:
                break

    def drop(self, stream: Stream) -> None:
        """Forget what waits on a stream."""
        self._count(-len(stream.to_send))
        stream.to_send = NOTHING
        self._ready.pop(stream.id, None)

    def count_unread(self) -> None:
        """Count what is written and not yet taken by the client."""
        unread = self._transport.get_write_buffer_size()
        if unread != self.unread:
            self._budget.held += unread - self.unread
            self.unread = unread

    def flush(self) -> None:
        """Write to the transport now."""
        outgoing, self._outgoing = self._outgoing, []
        self._queued = 0
        if self._postponed:
            outgoing += self._postponed
            self._postponed.clear()
        if outgoing and not self._transport.is_closing():
            self._transport.write(b"".join(outgoing))
        if self._ready and self.window > 0 and self.stalled_since is None:
            self._loop.call_soon(self.go_on)

    def close(self) -> None:
        """Write what is left, and close the connection."""
        self.flush()
        self.forget()
        self._transport.close()

    def end(self) -> None:
        """Write what is left, and close our side of the connection."""
        self.flush()
        self.forget()
        if not self._transport.is_closing():
            with suppress(OSError):  # asyncio's own loop raises where the client has reset the connection
                self._transport.write_eof()

    def forget(self) -> None:
        """Write no more."""
        self._ready.clear()
        self._budget.held -= self.unread
        self.unread = 0
        if self._postponing is not None:
            self._postponing.cancel()

    def _write_postponed(self) -> None:
        self._postponing = None
        if self._postponed:
            self.flush()
