"""What a connection reads: bytes become frames, and frames become streams with requests (RFC 9113, cited by section).

What a client can make us hold or do by what it sends is bounded: streams, header blocks, resets, frames that carry no
call. Nothing here knows what a request means, or ends a connection that is silent or slow.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from . import frames
from .frame_rules import check_form, check_priority, check_setting
from .frames import (
    END_STREAM,
    HEADER_SIZE,
    MAX_FRAME,
    MAX_WINDOW,
    ErrorCode,
    Http2ConnectionError,
    Http2StreamError,
    read_header,
)
from .headers import HeaderReader, Headers, MalformedHeadersError
from .stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..serving import Listener
    from .limits import Limits
    from .sending import Sender

AnyStream = TypeVar("AnyStream", bound=Stream)
DRAIN_PING: Final = b"draining"
"""Payload of the PING behind our first GOAWAY: its ACK shows that the client has read that (6.8)."""
SMALL: Final = 128
"""Bytes of a window, or of DATA that is not wanted, below which a frame counts among those that carry no call."""
MESSAGE_PREFIX: Final = 5
"""The same for DATA that is wanted: clients may send the header of an empty message, and END_STREAM, by themselves."""


class Receiver(asyncio.Protocol, Generic[AnyStream]):
    """The incoming half of a connection. `listener` is what all connections of its port share.

    Slots, because Python finds attributes more slowly in objects that have over 30 of them otherwise.
    """

    __slots__ = (
        "_block",
        "_drains_since",
        "_ended",
        "_given_up",
        "_has_preface",
        "_has_settings",
        "_headers",
        "_heard",
        "_idle_frames",
        "_is_closing",
        "_is_draining",
        "_is_ping_outstanding",
        "_last_id",
        "_limits",
        "_listener",
        "_loop",
        "_own_window",
        "_receive_window",
        "_resets",
        "_rest",
        "_sender",
        "_stream_window",
        "_streams",
        "_torn_held",
        "_torn_since",
        "_transport",
    )

    def __init__(self, listener: Listener[Any], limits: Limits, max_message: int):
        """`max_message`: bytes of DATA that a client may send on one stream before it must wait for WINDOW_UPDATE."""
        self._listener = listener
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set by connection_made
        self._sender: Sender = None  # type: ignore[assignment]  # set by connection_made
        self._headers = HeaderReader(limits.header_list)
        self._streams: dict[int, AnyStream] = {}
        self._last_id = 0
        """Highest stream that the client opened."""
        self._given_up: deque[int] = deque(maxlen=1000)
        """Streams that we ended with RST_STREAM, for which frames may still be under way (5.4.2)."""
        self._ended: deque[int] = deque(maxlen=1000)
        """Streams that are closed, by both sides or by the client's RST_STREAM."""
        self._rest = b""
        """Bytes of an incomplete frame."""
        self._has_preface = self._has_settings = self._is_closing = self._is_draining = False
        self._block: tuple[int, int, bytearray] | None = None
        """Stream, flags and bytes of a header block that CONTINUATION frames go on with."""
        self._stream_window = frames.DEFAULT_WINDOW
        """The client's SETTINGS_INITIAL_WINDOW_SIZE."""
        self._own_window = max_message + MAX_FRAME
        self._receive_window = frames.DEFAULT_WINDOW
        self._resets = 0
        self._idle_frames = 0
        self._heard = listener.now
        """When the client last sent something."""
        self._is_ping_outstanding = False
        """A keepalive PING was sent since, and is not acknowledged."""
        self._torn_since: float | None = None
        """Since when the rest of a frame, or of a header block, is missing."""
        self._torn_held = 0
        """Bytes of it that are counted."""
        self._drains_since: float | None = None
        """When the first GOAWAY of a graceful end was sent, until the second one (6.8)."""

    # --- for subclasses -------------------------------------------------------------------------------------------

    def _begin(self, stream_id: int, headers: Headers, *, has_body: bool) -> None:
        """Enter a stream into `_streams`; without a body, `_end_request` is due."""
        raise NotImplementedError

    def _hold(self, stream: AnyStream, data: bytes) -> None:
        """Keep DATA that has arrived."""
        raise NotImplementedError

    def _take_arrived(self, stream: AnyStream) -> None:
        """Process what has arrived; `stream.is_ended` says whether that is all."""
        raise NotImplementedError

    def _end(self, code: ErrorCode, why: str) -> None:
        """Send GOAWAY with a reason, and close the connection."""
        raise NotImplementedError

    def _refuse_more(self) -> None:
        """Go on with a graceful end: the client has read the first GOAWAY."""
        raise NotImplementedError

    def _close_when_done(self) -> None:
        """Close a draining connection if it has no streams left."""
        raise NotImplementedError

    # --- bytes ----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._heard = self._listener.now
        if self._rest:
            data = self._rest + data
        at = 0
        try:
            if not self._has_preface:
                at = self._read_preface(data)
            end = len(data)
            while not self._is_closing and end - at >= HEADER_SIZE:
                upper, lower, kind, flags, stream_id = read_header(data, at)
                size = upper << 8 | lower
                if size > MAX_FRAME:
                    raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
                start = at + HEADER_SIZE
                if end < start + size:
                    break
                at = start + size
                try:
                    self._take(kind, flags, stream_id & MAX_WINDOW, data[start:at])
                except Http2StreamError as fault:
                    self._reset(fault.stream_id, fault.code)
                    self._count_reset(fault.code)
        except Http2ConnectionError as fault:
            self._end(fault.code, str(fault))
        self._rest = b"" if self._is_closing else data[at:]
        if not self._rest and self._block is None:
            self._torn_since = None
            if self._torn_held:
                self._count_torn()
            return
        if self._torn_since is None or (at and self._block is None):
            self._torn_since = self._listener.now
        self._count_torn()

    def _count_torn(self) -> None:
        """Count what is held of an incomplete frame, or header block."""
        held = len(self._rest) + (0 if self._block is None else len(self._block[2]))
        more, self._torn_held = held - self._torn_held, held
        budget = self._listener.budget
        budget.held += more
        if more > 0 and budget.held > budget.limit:
            budget.relieve()

    def _read_preface(self, data: bytes) -> int:
        size = min(len(data), len(frames.PREFACE))
        if data[:size] != frames.PREFACE[:size]:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "this port speaks gRPC: HTTP/2 without TLS")
        self._has_preface = size == len(frames.PREFACE)
        return size if self._has_preface else 0

    # --- frames ---------------------------------------------------------------------------------------------------

    def _take(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is not None and (kind != frames.CONTINUATION or stream_id != self._block[0]):
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted")
        if not self._has_settings:
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._has_settings = True
        if kind > frames.HEADERS:
            check_form(kind, flags, stream_id, len(payload))
        take = _TAKERS.get(kind)
        if take is None:
            self._count_idle()
        else:
            take(self, flags, stream_id, payload)

    def _take_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._receive_window -= size
        if self._receive_window < 0:
            raise Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window")
        if self._receive_window < 2 * self._own_window:
            self._open_window(4 * self._own_window - self._receive_window)
        stream = self._stream_of(stream_id)
        data = frames.without_padding(payload, flags)
        if stream is None:
            if len(data) < SMALL:
                self._count_idle()
            return
        if stream.is_ended:
            raise Http2StreamError(stream_id, ErrorCode.STREAM_CLOSED)
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise Http2StreamError(stream_id, ErrorCode.FLOW_CONTROL_ERROR)
        stream.length += len(data)
        self._hold(stream, data)
        if flags & END_STREAM:
            self._end_request(stream)
            return
        if len(data) < MESSAGE_PREFIX:
            self._count_idle()
        if stream.id in self._streams:
            self._take_arrived(stream)

    def _take_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id % 2 == 0:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}")
        payload = frames.without_padding(payload, flags)
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
        self._count_idle()
        if flags & frames.END_HEADERS:
            self._block = None
            self._take_block(first_flags, stream_id, bytes(block))

    def _take_block(self, flags: int, stream_id: int, block: bytes) -> None:
        """Begin a stream, or end one by trailers."""
        is_trailer = stream_id <= self._last_id
        stream = self._stream_of(stream_id) if is_trailer else None
        if stream is not None and stream.is_ended:
            raise Http2ConnectionError(ErrorCode.STREAM_CLOSED, f"HEADERS on stream {stream_id}, which was ended")
        try:
            headers = self._headers.read(block, is_trailer=is_trailer)
        except MalformedHeadersError:
            self._last_id = max(self._last_id, stream_id)
            raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR) from None
        if not is_trailer:
            self._last_id = stream_id
            if len(self._streams) >= self._limits.streams or self._is_draining:
                self._count_idle()
                raise Http2StreamError(stream_id, ErrorCode.REFUSED_STREAM)
            self._begin(stream_id, headers, has_body=not flags & END_STREAM)
            return
        if stream is None:
            return
        if not flags & END_STREAM:
            raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR)
        self._end_request(stream)

    def _end_request(self, stream: AnyStream) -> None:
        if stream.id not in self._streams:
            return
        stream.is_ended = True
        length = stream.headers.get(b"content-length")
        if length is not None and length != b"%d" % stream.length:
            raise Http2StreamError(stream.id, ErrorCode.PROTOCOL_ERROR)
        self._take_arrived(stream)

    def _take_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        check_priority(stream_id, payload)
        self._count_idle()

    def _take_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id > self._last_id:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, f"RST_STREAM on stream {stream_id}, which is idle")
        self._count_reset(ErrorCode.CANCEL)
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._forget(stream)

    def _take_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._count_idle()
        if flags & frames.ACK:
            return
        for number, value in frames.read_settings(payload):
            self._count_idle()  # each may touch all streams
            self._apply(number, value)
        self._sender.write(frames.frame(frames.SETTINGS, frames.ACK, 0))
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
            self._sender.frame_size = value

    def _take_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._count_idle()
        if flags & frames.ACK:
            self._is_ping_outstanding = False
            if payload == DRAIN_PING and self._drains_since is not None:
                self._refuse_more()
            return
        answer = frames.frame(frames.PING, frames.ACK, 0, payload)
        (self._sender.write_soon if self._streams else self._sender.write)(answer)

    def _take_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        increment = int.from_bytes(payload, "big") & MAX_WINDOW
        if increment < SMALL:
            self._count_idle()
        if stream_id > self._last_id:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, f"WINDOW_UPDATE on stream {stream_id}, which is idle")
        if stream_id == 0:
            self._sender.window += increment
            if not increment or self._sender.window > MAX_WINDOW:
                code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
                raise Http2ConnectionError(code, "WINDOW_UPDATE by nothing, or over 2^31-1")
            self._sender.go_on()
            return
        if not increment:
            raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR)
        stream = self._streams.get(stream_id)
        if stream is not None:
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
    """By the type of the frame; others carry nothing for us (4.1)."""

    def _stream_of(self, stream_id: int) -> AnyStream | None:
        """Return the stream of a frame; None: we have reset it, and the client may not know yet (5.4.2)."""
        stream = self._streams.get(stream_id)
        if stream is not None or stream_id in self._given_up:
            return stream
        if stream_id == 0 or stream_id > self._last_id:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, f"a frame on stream {stream_id}, which is idle")
        code = ErrorCode.STREAM_CLOSED if stream_id in self._ended else ErrorCode.PROTOCOL_ERROR
        raise Http2ConnectionError(code, f"a frame on stream {stream_id}, which is not open")

    # --- windows and counts ---------------------------------------------------------------------------------------

    def _go_on_with(self, stream: AnyStream) -> None:
        if stream.to_send and self._sender.send_waiting(stream):
            self._close(stream)

    def _open_window(self, increment: int) -> None:
        self._receive_window += increment
        self._sender.write(frames.window_update(0, increment))

    def _count_idle(self) -> None:
        self._idle_frames += 1
        if self._idle_frames > self._limits.idle_frames:
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that carry no call")

    def _count_reset(self, code: ErrorCode) -> None:
        """Count a stream that was given up; what we refuse costs nothing, and a client may not know our limit yet."""
        self._resets += code is not ErrorCode.REFUSED_STREAM
        if self._resets > self._limits.resets:
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many calls were given up")

    # --- ends of streams -----------------------------------------------------------------------------------------

    def _close(self, stream: AnyStream) -> None:
        """Close a stream whose last frame from us is written."""
        if not stream.is_ended:  # what it still sends is not wanted (8.1)
            self._sender.write(frames.rst_stream(stream.id, ErrorCode.NO_ERROR))
            self._given_up.append(stream.id)
        self._forget(stream)

    def _reset(self, stream_id: int, code: ErrorCode) -> None:
        """End a stream because of what the client did."""
        self._sender.write(frames.rst_stream(stream_id, code))
        self._given_up.append(stream_id)
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._forget(stream)

    def _forget(self, stream: AnyStream) -> None:
        self._streams.pop(stream.id, None)
        if stream.to_send:
            self._sender.drop(stream)
        self._ended.append(stream.id)
        if self._is_draining:
            self._close_when_done()


_TAKERS: Final = Receiver.TAKERS
