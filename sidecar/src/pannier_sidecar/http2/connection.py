"""The server's side of one connection (RFC 9113, cited by section): what each frame that comes in means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from . import frames
from .frame_rules import check_form, check_priority, check_setting
from .frames import (
    END_STREAM,
    HEADER_SIZE,
    MAX_FRAME,
    MAX_WINDOW,
    PADDED,
    ErrorCode,
    Http2ConnectionError,
    Http2StreamError,
    read_header,
)
from .headers import HeaderReader, MalformedHeadersError
from .rates import Rates
from .reader import FrameReader
from .sending import Sender
from .streams import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .handler import Handler, Writer
    from .limits import Limits

SHUTDOWN_PING: Final = b"draining"
"""Payload of the PING after the first GOAWAY of a shutdown."""
KEEPALIVE_PING: Final = b"speak up"
SMALL: Final = 128
"""A WINDOW_UPDATE by fewer bytes than this, or unwanted DATA of fewer, counts as a frame that carries no call."""


class Http2Connection(Sender):
    """One connection. It has no clock: the code that moves its bytes ends silent or slow connections."""

    def __init__(self, limits: Limits, handler: Handler, writer: Writer):
        super().__init__(handler, writer)
        self.incomplete = 0
        """Bytes of an incomplete frame or header block; 0: there is none."""
        self.has_settings = False
        """The client has sent its first frame."""
        self.has_read_shutdown = False
        """The client has read the GOAWAY of `announce_shutdown`."""
        self._limits = limits
        self._headers = HeaderReader(limits.header_list)
        self._reader = FrameReader()
        self._block: tuple[int, int, bytearray] | None = None
        """Stream, flags and bytes of a header block that CONTINUATION frames continue."""
        self._refuses_streams = False
        self._stream_window = frames.DEFAULT_WINDOW
        """The client's SETTINGS_INITIAL_WINDOW_SIZE."""
        self._own_window = min(limits.window, MAX_WINDOW)
        """The window that each stream opens with."""
        self._whole_window = min(max(4 * limits.window, frames.DEFAULT_WINDOW), MAX_WINDOW)
        """The window of all streams together: it is opened to this size again after half of it is used."""
        self._low_window = self._whole_window // 2
        self._receive_window = frames.DEFAULT_WINDOW
        self._rates = Rates(limits)

    # --- what comes in --------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> bool:
        """Take received bytes, in pieces of any size, and call the handler with the events in them.

        Return whether the frame or header block that was incomplete before is complete now. Raises
        Http2ConnectionError: nothing more is read then, and the caller must end the connection with the error's code.
        """
        if self._reader.is_stopped:
            return True
        self._is_receiving = True
        try:
            has_whole = self._reader.read(data, self._take, self._take_request)
        except Http2ConnectionError:
            self._stop_reading()
            raise
        finally:
            self._is_receiving = False
        rest, block = len(self._reader.rest), self._block
        if not rest and block is None:  # nearly always
            self.incomplete = 0
            return True
        self.incomplete = rest + (0 if block is None else HEADER_SIZE + len(block[2]))
        return has_whole and block is None

    def _take_request(self, stream_id: int, data: bytes, start: int, middle: int) -> int:
        """Take a request in its most common form, and return where it ends: its header block, between `start` and
        `middle`, is a remembered one, and the next frame has all its DATA. Return 0 for other forms, which `_take`
        takes.
        """
        headers = self._headers.remembered(data[start:middle])
        at = middle + HEADER_SIZE
        if headers is None or at > len(data):
            return 0
        upper, lower, kind, flags, same_id = read_header(data, middle)
        size: int = upper << 8 | lower
        end = at + size
        window = self._receive_window - size
        streams = self._streams
        if (
            kind != frames.DATA
            or flags != END_STREAM
            or same_id != stream_id
            or end > len(data)
            or size > min(MAX_FRAME, self._own_window)
            or window < self._low_window
            or b"content-length" in headers
            or not streams.last_id < stream_id <= MAX_WINDOW
            or not stream_id & 1
            or len(streams) >= self._limits.streams
            or self._refuses_streams
            or self._block is not None
            or not self.has_settings
        ):
            return 0
        streams.last_id = stream_id
        stream = streams[stream_id] = Stream(stream_id, self._stream_window, self._own_window)
        self._handler.request_begun(stream_id, headers)
        if stream_id not in streams or self._reader.is_stopped:
            return middle
        stream.is_ended = True
        self._receive_window = window
        self._handler.data_arrived(stream_id, data[at:end], True)
        return end

    def _stop_reading(self) -> None:
        self._reader.stop()
        self._block, self.incomplete = None, 0

    # --- frames ---------------------------------------------------------------------------------------------------

    def _take(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is not None and (kind != frames.CONTINUATION or stream_id != self._block[0]):
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted")
        if not self.has_settings:
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self.has_settings = True
        take = _TAKERS.get(kind)
        try:
            if kind > frames.HEADERS:
                check_form(kind, flags, stream_id, len(payload))
            if take is None:
                self._rates.count_idle()
            else:
                take(self, flags, stream_id, payload)
        except Http2StreamError as error:
            self.reset(error.stream_id, error.code)
            self._rates.count_reset(error.code)

    def _take_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._receive_window -= size
        if self._receive_window < 0:
            raise Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window")
        if self._receive_window < self._low_window:
            self._open_window()
        stream = self._streams.get(stream_id) or self._streams.find(stream_id)
        data = frames.without_padding(payload) if flags & PADDED else payload
        if stream is None:
            if len(data) < SMALL:
                self._rates.count_idle()
            return
        if stream.is_ended:
            raise Http2StreamError(stream_id, ErrorCode.STREAM_CLOSED)
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise Http2StreamError(stream_id, ErrorCode.FLOW_CONTROL_ERROR)
        stream.length += len(data)
        is_last = flags & END_STREAM != 0
        if is_last:
            stream.is_ended = True
            if stream.content_length is not None:
                stream.check_length()
        elif len(data) < self._limits.least_data:
            self._rates.count_idle()
        self._handler.data_arrived(stream_id, data, is_last)

    def _take_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id % 2 == 0:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}")
        if flags & PADDED:
            payload = frames.without_padding(payload)
        if flags & frames.HAS_PRIORITY:
            check_priority(stream_id, payload[:5])
            payload = payload[5:]
        if flags & frames.END_HEADERS:
            self._take_block(flags, stream_id, payload)
        else:
            self._block = (stream_id, flags, bytearray(payload))

    def _take_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is None:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        _, first_flags, block = self._block
        block += payload
        if len(block) > self._limits.header_list + MAX_FRAME:
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a header block is too long")
        self._rates.count_idle()
        if flags & frames.END_HEADERS:
            self._block = None
            self._take_block(first_flags, stream_id, bytes(block))

    def _take_block(self, flags: int, stream_id: int, block: bytes) -> None:
        """Begin a stream, or end one by trailers."""
        is_trailer = stream_id <= self._streams.last_id
        stream = self._streams.find(stream_id) if is_trailer else None
        if stream is not None and stream.is_ended:
            raise Http2ConnectionError(ErrorCode.STREAM_CLOSED, f"HEADERS on stream {stream_id}, which was ended")
        try:
            headers = self._headers.read(block, is_trailer=is_trailer)
        except MalformedHeadersError:
            self._streams.last_id = max(self._streams.last_id, stream_id)
            raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR) from None
        if is_trailer:
            if stream is not None:
                if not flags & END_STREAM:
                    raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR)
                stream.end()
                self._handler.data_arrived(stream_id, b"", True)
            return
        self._streams.last_id = stream_id
        if len(self._streams) >= self._limits.streams or self._refuses_streams:
            self._rates.count_idle()
            raise Http2StreamError(stream_id, ErrorCode.REFUSED_STREAM)
        stream = Stream(stream_id, self._stream_window, self._own_window, headers.get(b"content-length"))
        if flags & END_STREAM:
            stream.end()
        self._streams[stream_id] = stream
        self._handler.request_begun(stream_id, headers)
        if flags & END_STREAM and stream_id in self._streams:
            self._handler.data_arrived(stream_id, b"", True)

    def _take_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        check_priority(stream_id, payload)
        self._rates.count_idle()

    def _take_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id > self._streams.last_id:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, f"RST_STREAM on stream {stream_id}, which is idle")
        self._rates.count_reset(ErrorCode.CANCEL)
        if (stream := self._streams.get(stream_id)) is not None:
            self._forget(stream)

    def _take_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._rates.count_idle()
        if flags & frames.ACK:
            return
        for number, value in frames.read_settings(payload):
            self._rates.count_idle()  # each may touch all streams
            self._apply(number, value)
        self.output.write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        for stream in list(self._streams.values()):
            self._go_on_with(stream)

    def _apply(self, number: int, value: int) -> None:
        check_setting(number, value)
        if number == frames.INITIAL_WINDOW_SIZE:
            for stream in self._streams.values():
                stream.window += value - self._stream_window
                if stream.window > MAX_WINDOW:
                    raise Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "a window is over 2^31-1")
            self._stream_window = value
        elif number == frames.MAX_FRAME_SIZE:
            self.output.frame_size = value

    def _take_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._rates.count_idle()
        if flags & frames.ACK:
            self.has_read_shutdown |= payload == SHUTDOWN_PING
            return
        answer = frames.frame(frames.PING, frames.ACK, 0, payload)
        # Go's clients send a PING with each request: its answer can wait for the one to the request.
        (self.output.write_late if self._streams else self.output.write)(answer)

    def _take_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        increment = int.from_bytes(payload, "big") & MAX_WINDOW
        if increment < SMALL:
            self._rates.count_idle()
        if stream_id > self._streams.last_id:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, f"WINDOW_UPDATE on stream {stream_id}, which is idle")
        if stream_id == 0:
            self.output.window += increment
            if not increment or self.output.window > MAX_WINDOW:
                code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
                raise Http2ConnectionError(code, "WINDOW_UPDATE by nothing, or over 2^31-1")
            self.go_on()
            return
        if not increment:
            raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR)
        if (stream := self._streams.get(stream_id)) is not None:
            stream.window += increment
            if stream.window > MAX_WINDOW:
                raise Http2StreamError(stream_id, ErrorCode.FLOW_CONTROL_ERROR)
            self._go_on_with(stream)

    TAKERS: ClassVar[Mapping[int, Callable[[Any, int, int, bytes], None]]] = {
        frames.DATA: _take_data,
        frames.HEADERS: _take_headers,
        frames.PRIORITY: _take_priority,
        frames.RST_STREAM: _take_rst_stream,
        frames.SETTINGS: _take_settings,
        frames.PING: _take_ping,
        frames.WINDOW_UPDATE: _take_window_update,
        frames.CONTINUATION: _take_continuation,
    }
    """The function for each type of frame; frames of other types are ignored (4.1)."""

    # --- its own frames, and its end ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the connection (3.4)."""
        settings = {
            frames.MAX_CONCURRENT_STREAMS: self._limits.streams,
            frames.INITIAL_WINDOW_SIZE: self._own_window,
            frames.MAX_HEADER_LIST_SIZE: self._limits.header_list,
        }
        self.output.write(frames.settings(settings))
        if self._whole_window > frames.DEFAULT_WINDOW:
            self._open_window()

    def _open_window(self) -> None:
        self.output.write(frames.window_update(0, self._whole_window - self._receive_window))
        self._receive_window = self._whole_window

    def ping(self) -> None:
        """Send a PING, which the client must answer."""
        self.output.write(frames.frame(frames.PING, 0, 0, KEEPALIVE_PING))

    def start_period(self) -> None:
        """Count resets and idle frames from 0 again. Call this once in each period for which the limits are meant."""
        self._rates.start_period()

    def announce_shutdown(self, why: str) -> None:
        """Ask the client to begin no more streams. Streams that it begins before it has read this are still taken
        (6.8); `has_read_shutdown` says whether it has.
        """
        ping = frames.frame(frames.PING, 0, 0, SHUTDOWN_PING)
        self.output.write(frames.goaway(MAX_WINDOW, ErrorCode.NO_ERROR, why) + ping)

    def refuse_streams(self, why: str) -> None:
        """Take no more streams, and name the last one in a GOAWAY."""
        self._refuses_streams = True
        self.output.write(frames.goaway(self._streams.last_id, ErrorCode.NO_ERROR, why))

    def end(self, code: ErrorCode, why: str) -> None:
        """Send the reason for the end in a GOAWAY, and read no more."""
        self.output.write(frames.goaway(self._streams.last_id, code, why))
        self._stop_reading()

    def close(self) -> None:
        """Close all streams: nothing more is read or written."""
        self._stop_reading()
        for stream in list(self._streams.values()):
            self._forget(stream)
        self.output.clear()


_TAKERS: Final = Http2Connection.TAKERS
