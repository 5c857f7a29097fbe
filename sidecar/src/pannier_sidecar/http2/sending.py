"""What goes out on the streams of one connection (RFC 9113, cited by section): answers, and the ends of streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import frames
from .frames import ErrorCode
from .output import Output
from .streams import Streams

if TYPE_CHECKING:
    from .frames import Prepared
    from .handler import Handler, Writer
    from .streams import Stream


class Sender:
    """The outgoing half of a connection."""

    def __init__(self, handler: Handler, writer: Writer):
        self.output = Output(handler, writer)
        self._handler = handler
        self._streams = Streams()
        self._is_receiving = False
        """Whether received frames are being handled, so that more may follow."""

    def send(self, stream_id: int, headers: Prepared | None, data: bytes, trailers: Prepared | None) -> None:
        """Send a part of an answer. `headers` belong to the first part, and `trailers` to the last one.

        Bytes that the client's windows do not allow yet wait, and the stream is closed after the trailers. On a closed
        stream nothing is sent.
        """
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        is_alone = len(self._streams) == 1 and not self._is_receiving
        if self.output.send(stream, headers, data, trailers, is_alone=is_alone):
            self._close(stream)

    def end_stream(self, stream_id: int, block: bytes) -> None:
        """Send a header block as the last frame of a stream, drop what waits on it, and close the stream."""
        if (stream := self._streams.get(stream_id)) is not None:
            self.output.write(frames.last_headers(stream_id, block))
            self._close(stream)

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """End a stream because of what the client did."""
        self.output.write(frames.rst_stream(stream_id, code))
        self._streams.given_up.append(stream_id)
        if (stream := self._streams.get(stream_id)) is not None:
            self._forget(stream)

    def go_on(self) -> None:
        """Send what waits, on the streams whose windows allow it."""
        for stream in self.output.go_on():
            self._close(stream)

    def is_window_open(self, stream_id: int) -> bool:
        """Return whether the stream's own window is open. If DATA waits nevertheless, other streams or the connection's
        window delay it.
        """
        stream = self._streams.get(stream_id)
        return stream is not None and stream.window > 0

    def _go_on_with(self, stream: Stream) -> None:
        if stream.to_send and self.output.send_waiting(stream):
            self._close(stream)

    def _close(self, stream: Stream) -> None:
        """Close a stream on which our last frame is written."""
        if not stream.is_ended:  # what it still sends is not wanted (8.1)
            self.output.write(frames.rst_stream(stream.id, ErrorCode.NO_ERROR))
            self._streams.given_up.append(stream.id)
        self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        del self._streams[stream.id]
        if stream.to_send:
            self.output.drop(stream)
        self._streams.ended.append(stream.id)
        self._handler.stream_closed(stream.id)
