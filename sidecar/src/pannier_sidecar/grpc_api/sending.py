"""What goes out on one connection: once in each turn of the loop, and DATA as far as the client's windows allow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

from . import frames

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..serving import Connections
    from .stream import Stream

AnyStream = TypeVar("AnyStream", bound="Stream")
POSTPONED: Final = 0.005
"""Seconds that the answer to a PING may wait for the answer of a call."""


class Sender:
    """The outgoing half of a connection (RFC 9113, 5.2)."""

    __slots__ = (
        "_clock",
        "_loop",
        "_outgoing",
        "_postponed",
        "_postponing",
        "_transport",
        "frame_size",
        "stalled_since",
        "window",
    )

    def __init__(self, transport: asyncio.Transport, clock: Connections[Any]):
        self._transport = transport
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self.window = frames.DEFAULT_WINDOW
        """Bytes of DATA that the client takes, over all streams."""
        self.frame_size = frames.MAX_FRAME
        self.stalled_since: float | None = None
        """Since when the client does not take what is written."""
        self._outgoing: list[bytes] = []
        self._postponed: list[bytes] = []
        """What may wait for others, but no longer than until `_postponing`."""
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
            head = frames.head(size, frames.DATA, 0, stream.id) if size else b""
            self.write(b"".join((headers, head, data, stream.trailers or b"")))
            return stream.trailers is not None
        if headers:
            self.write(headers)
        stream.to_send += data
        stream.since = self._clock.now
        return self.send_waiting(stream)

    def send_waiting(self, stream: Stream) -> bool:
        """Send what waits, as far as the windows allow. Return whether all is written, the trailers too."""
        while stream.to_send and self.stalled_since is None:
            size = min(len(stream.to_send), self.window, stream.window, self.frame_size)
            if size <= 0:
                return False
            stream.since = self._clock.now
            self.window -= size
            stream.window -= size
            self.write(frames.frame(frames.DATA, 0, stream.id, bytes(stream.to_send[:size])))
            del stream.to_send[:size]
        if stream.to_send or stream.trailers is None:
            return False
        self.write(stream.trailers)
        return True

    def go_on(self, streams: Iterable[AnyStream]) -> list[AnyStream]:
        """Send what waits on these streams. Return those of which all is written."""
        return [stream for stream in streams if stream.to_send and self.send_waiting(stream)]

    def flush(self) -> None:
        """Write to the transport now."""
        outgoing, self._outgoing = self._outgoing, []
        if self._postponed:
            outgoing += self._postponed
            self._postponed.clear()
        if outgoing and not self._transport.is_closing():
            self._transport.write(b"".join(outgoing))

    def close(self) -> None:
        """Write what is left, and close the connection."""
        self.flush()
        self.forget()
        self._transport.close()

    def forget(self) -> None:
        """Write no more."""
        if self._postponing is not None:
            self._postponing.cancel()

    def _write_postponed(self) -> None:
        self._postponing = None
        if self._postponed:
            self.flush()
