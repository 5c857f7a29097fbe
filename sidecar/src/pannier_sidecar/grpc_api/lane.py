"""One connection of gRPC clients: HTTP/2 (RFC 9113) and the gRPC wire protocol on an asyncio transport.

    https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

Frames are read here and become streams; a stream whose request is whole becomes a call; the answer goes out as headers,
data and trailers, as far as the client's windows allow. Whatever is written in one turn of the loop goes out in one
write. What a client can make us hold or do is bounded: streams, headers, messages, resets, empty frames.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from base64 import b64encode
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from ..serving import Connections
from . import frames
from .frames import ConnectionFault, ErrorCode, StreamFault
from .headers import ANSWER, MAX_BLOCK, OK_TRAILER, HeaderReader, Headers, MalformedHeaders, literal
from .status import Code, Failure

log = logging.getLogger(__name__)

GRPC: Final = b"application/grpc"
MESSAGE_HEAD: Final = 5
"""Bytes before each message: compressed or not, and its length."""
POSTPONED: Final = 0.005
"""Seconds that the answer to a PING may wait for the answer of a call."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, and all of them together, may make the sidecar hold. Times are in seconds, sizes in bytes."""

    message: int = 4 * 1024 * 1024
    header_list: int = 16 * 1024
    streams: int = 128
    """Calls in flight on one connection."""
    all_messages: int = 64 * 1024 * 1024
    """Requests of all connections that are still arriving."""
    connections: int = 4096
    resets: int = 200
    """Calls a second that a client may give up; more is the rapid-reset attack (CVE-2023-44487)."""
    idle_frames: int = 5_000
    """Frames a second that carry no call: PING, SETTINGS, PRIORITY, empty DATA ..."""
    receiving: float = 30.0
    """From the first byte of a request to its last."""
    stalled: float = 30.0
    """A client that does not take what is written, or leaves an answer's window closed."""
    preface: float = 10.0
    """For a new connection to say that it speaks HTTP/2."""


@dataclass(frozen=True, slots=True)
class Method:
    """How the calls of one method are answered."""

    answer: Callable[[bytes, Headers], Awaitable[bytes]]
    """From a message and the call's headers to a message. Raises Failure for a status other than OK."""
    is_streaming: bool = False
    """Each message of the client is answered as it comes; else there is exactly one."""
    stays_open: bool = False
    """The call ends when the client gives it up, not when it has sent all."""


@dataclass(slots=True, eq=False)
class Lanes(Connections["Lane"]):
    """What all connections of a listener share."""

    find: Callable[[bytes, Headers], Method]
    """From a path and the call's headers to its method. Raises Failure."""
    limits: Limits = field(default_factory=Limits)
    held: int = field(default=0, init=False)
    """Bytes of requests that are still arriving."""


class Stream:
    """One call, from its headers to its trailers."""

    __slots__ = (
        "has_begun",
        "headers",
        "id",
        "is_ended",
        "length",
        "method",
        "received",
        "receive_window",
        "since",
        "task",
        "timer",
        "to_send",
        "trailers",
        "window",
    )

    def __init__(self, stream_id: int, headers: Headers, method: Method, windows: tuple[int, int], now: float):
        self.id = stream_id
        self.headers = headers
        self.method = method
        self.window, self.receive_window = windows
        """Bytes of DATA that the client takes, and that we do."""
        self.received = bytearray()
        self.length = 0
        """Bytes of DATA so far."""
        self.has_begun = False
        """The headers of the answer are written."""
        self.is_ended = False
        """The client has sent all."""
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        """Of the call's deadline."""
        self.to_send = bytearray()
        """DATA that the client's windows do not let through yet."""
        self.trailers: bytes | None = None
        """The frame that follows it."""
        self.since = now


class Lane(asyncio.Protocol):
    """One connection."""

    def __init__(self, lanes: Lanes):
        self._lanes = lanes
        self._limits = lanes.limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set by connection_made
        self._headers = HeaderReader(lanes.limits.header_list)
        self._streams: dict[int, Stream] = {}
        self._last_id = 0
        """Highest stream that the client opened."""
        self._given_up: deque[int] = deque(maxlen=1000)
        """Streams that we ended with RST_STREAM, for which frames may still be under way (RFC 9113, 5.4.2)."""
        self._ended: deque[int] = deque(maxlen=1000)
        """Streams that came to their end, or that the client gave up."""
        self._rest = b""
        """Bytes of an incomplete frame."""
        self._has_preface = self._has_settings = self._is_closing = False
        self._block: tuple[int, int, bytearray] | None = None
        """Stream, flags and bytes of a header block that CONTINUATION frames go on with."""
        self._stream_window = frames.DEFAULT_WINDOW
        """With which the client's streams begin."""
        self._window = frames.DEFAULT_WINDOW
        self._receive_window = frames.DEFAULT_WINDOW
        self._frame_size = frames.MAX_FRAME
        self._outgoing: list[bytes] = []
        self._postponed: list[bytes] = []
        """What may wait for others, but no longer than until `_postponing`."""
        self._postponing: asyncio.TimerHandle | None = None
        self._resets = 0
        self._idle_frames = 0
        self._since = lanes.now
        self._stalled_since: float | None = None
        self._torn_since: float | None = None
        """Since when the rest of a frame, or of a header block, is missing."""

    # --- the transport speaks -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports do not derive from asyncio's
        lanes = self._lanes
        lanes.open.add(self)
        limits = self._limits
        self._own_window = limits.message + MESSAGE_HEAD + frames.MAX_FRAME
        settings = {
            frames.MAX_CONCURRENT_STREAMS: limits.streams,
            frames.INITIAL_WINDOW_SIZE: self._own_window,
            frames.MAX_HEADER_LIST_SIZE: limits.header_list,
        }
        self._write(frames.settings(settings))
        self._open_window(4 * self._own_window - self._receive_window)
        if len(lanes.open) > limits.connections or lanes.is_draining:
            self._end(ErrorCode.ENHANCE_YOUR_CALM, f"{limits.connections} connections are open")

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closing = True
        if self._postponing is not None:
            self._postponing.cancel()
        for stream in list(self._streams.values()):
            self._forget(stream)
        self._lanes.lost(self)

    def pause_writing(self) -> None:
        """Read no more either: whoever takes no answers shall not make us hold more of them."""
        self._stalled_since = self._lanes.now
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._stalled_since = None
        self._transport.resume_reading()
        self._go_on_sending()

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at = 0
        try:
            if not self._has_preface:
                at = self._read_preface(data)
            while not self._is_closing and len(data) - at >= frames.HEAD_SIZE:
                upper, lower, kind, flags, stream_id = frames.read_head(data, at)
                size = upper << 8 | lower
                if size > frames.MAX_FRAME:
                    raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
                start = at + frames.HEAD_SIZE
                if len(data) < start + size:
                    break
                try:
                    self._take(kind, flags, stream_id & frames.MAX_WINDOW, data[start : start + size])
                except StreamFault as fault:
                    self._reset(fault.stream_id, fault.code)
                at = start + size
        except ConnectionFault as fault:
            self._end(fault.code, str(fault))
        self._rest = b"" if self._is_closing else data[at:]
        if not self._rest and self._block is None:
            self._torn_since = None
        elif at or self._torn_since is None:
            self._torn_since = self._lanes.now

    def _read_preface(self, data: bytes) -> int:
        size = min(len(data), len(frames.PREFACE))
        if data[:size] != frames.PREFACE[:size]:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "this port speaks gRPC: HTTP/2 without TLS")
        self._has_preface = size == len(frames.PREFACE)
        return size if self._has_preface else 0

    # --- frames ---------------------------------------------------------------------------------------------------

    def _take(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is not None and (kind != frames.CONTINUATION or stream_id != self._block[0]):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted")
        if not self._has_settings:
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._has_settings = True
        if kind < len(_TAKERS):
            _TAKERS[kind](self, flags, stream_id, payload)

    def _take_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._receive_window -= size
        if self._receive_window < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window")
        if self._receive_window < 2 * self._own_window:
            self._open_window(4 * self._own_window - self._receive_window)
        stream = self._stream_of(stream_id)
        data = frames.without_padding(payload, flags)
        if stream is None:
            return
        if stream.is_ended:
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED)
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise StreamFault(stream_id, ErrorCode.FLOW_CONTROL_ERROR)
        if not data and not flags & frames.END_STREAM:
            self._count_idle()
        self._hold(stream, data)
        if flags & frames.END_STREAM:
            self._end_request(stream)
        elif stream.method.is_streaming:
            self._take_messages(stream)

    def _take_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id % 2 == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}")
        payload = frames.without_padding(payload, flags)
        if flags & frames.HAS_PRIORITY:
            self._check_priority(stream_id, payload[:5])
            payload = payload[5:]
        if flags & frames.END_HEADERS:
            self._take_block(flags, stream_id, payload)
        else:
            self._block = (stream_id, flags, bytearray(payload))

    def _take_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is None:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        _, first_flags, block = self._block
        block += payload
        if len(block) > MAX_BLOCK:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "a header block is too long")
        if not payload:
            self._count_idle()
        if flags & frames.END_HEADERS:
            self._block = None
            self._take_block(first_flags, stream_id, bytes(block))

    def _take_block(self, flags: int, stream_id: int, block: bytes) -> None:
        """Begin a stream, or end one by trailers."""
        is_trailer = stream_id <= self._last_id
        stream = self._stream_of(stream_id) if is_trailer else None
        if stream is not None and stream.is_ended:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, f"HEADERS on stream {stream_id}, which was ended")
        try:
            headers = self._headers.read(block, is_trailer=is_trailer)
        except MalformedHeaders:
            self._last_id = max(self._last_id, stream_id)
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR) from None
        if not is_trailer:
            self._last_id = stream_id
            self._begin(stream_id, headers, has_body=not flags & frames.END_STREAM)
            return
        if stream is None:
            return
        if not flags & frames.END_STREAM:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR)
        self._end_request(stream)

    def _take_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise StreamFault(stream_id, ErrorCode.FRAME_SIZE_ERROR)
        self._check_priority(stream_id, payload)
        self._count_idle()

    @staticmethod
    def _check_priority(stream_id: int, payload: bytes) -> None:
        if len(payload) != 5:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
        if int.from_bytes(payload[:4], "big") & frames.MAX_WINDOW == stream_id:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR)

    def _take_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM has four bytes")
        if stream_id == 0 or stream_id > self._last_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"RST_STREAM on stream {stream_id}, which was not begun")
        self._resets += 1
        if self._resets > self._limits.resets:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many calls were given up")
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._forget(stream)

    def _take_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS on stream {stream_id}")
        if len(payload) % 6 or (flags & frames.ACK and payload):
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS has six bytes for each")
        if flags & frames.ACK:
            return
        self._count_idle()
        for number, value in frames.read_settings(payload):
            self._apply(number, value)
        self._write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._go_on_sending()

    def _apply(self, number: int, value: int) -> None:
        if number == frames.ENABLE_PUSH and value > 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is 0 or 1")
        if number == frames.INITIAL_WINDOW_SIZE:
            if value > frames.MAX_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is over 2^31-1")
            for stream in self._streams.values():
                stream.window += value - self._stream_window
                if stream.window > frames.MAX_WINDOW:
                    raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a window is over 2^31-1")
            self._stream_window = value
        elif number == frames.MAX_FRAME_SIZE:
            if not frames.MAX_FRAME <= value <= 2**24 - 1:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE is out of range")
            self._frame_size = value

    def _take_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a client promises nothing")

    def _take_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"PING on stream {stream_id}")
        if len(payload) != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING has eight bytes")
        if not flags & frames.ACK:
            self._count_idle()
            self._write_soon(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _take_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"GOAWAY on stream {stream_id}")
        if len(payload) < 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY has eight bytes or more")

    def _take_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE has four bytes")
        increment = int.from_bytes(payload, "big") & frames.MAX_WINDOW
        if stream_id > self._last_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"WINDOW_UPDATE on stream {stream_id}, which was not begun")
        if stream_id == 0:
            self._window += increment
            if not increment or self._window > frames.MAX_WINDOW:
                code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
                raise ConnectionFault(code, "WINDOW_UPDATE by nothing, or over 2^31-1")
            self._go_on_sending()
            return
        if not increment:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR)
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.window += increment
            if stream.window > frames.MAX_WINDOW:
                raise StreamFault(stream_id, ErrorCode.FLOW_CONTROL_ERROR)
            self._send_waiting(stream)

    def _stream_of(self, stream_id: int) -> Stream | None:
        """Return the stream of a frame, None where we gave it up and the client can't know yet."""
        stream = self._streams.get(stream_id)
        if stream is not None or stream_id in self._given_up:
            return stream
        if stream_id == 0 or stream_id > self._last_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"a frame on stream {stream_id}, which was not begun")
        code = ErrorCode.STREAM_CLOSED if stream_id in self._ended else ErrorCode.PROTOCOL_ERROR
        raise ConnectionFault(code, f"a frame on stream {stream_id}, which is not open")

    # --- calls ----------------------------------------------------------------------------------------------------

    def _begin(self, stream_id: int, headers: Headers, *, has_body: bool) -> None:
        if len(self._streams) >= self._limits.streams or self._lanes.is_draining:
            raise StreamFault(stream_id, ErrorCode.REFUSED_STREAM)
        self._since = self._lanes.now
        windows = (self._stream_window, self._own_window)
        stream = Stream(stream_id, headers, NOT_GRPC, windows, self._lanes.now)
        self._streams[stream_id] = stream
        try:
            if headers[b":method"] == b"POST" and headers.get(b"content-type", b"").startswith(GRPC):
                stream.method = self._lanes.find(headers[b":path"], headers)
            timeout = headers.get(b"grpc-timeout")
            if timeout is not None:
                stream.timer = self._loop.call_later(seconds(timeout), self._expire, stream)
        except Failure as failure:
            self._fail(stream, failure)
            return
        if not has_body:
            self._end_request(stream)

    def _hold(self, stream: Stream, data: bytes) -> None:
        stream.length += len(data)
        stream.received += data
        lanes = self._lanes
        lanes.held += len(data)
        if len(stream.received) > self._limits.message + MESSAGE_HEAD:
            self._fail(stream, self._too_large())
        elif lanes.held > self._limits.all_messages:
            why = "too many large requests are arriving; send fewer at once"
            self._fail(stream, Failure(Code.RESOURCE_EXHAUSTED, why))

    def _end_request(self, stream: Stream) -> None:
        if stream.id not in self._streams:
            return
        stream.is_ended = True
        length = stream.headers.get(b"content-length")
        if length is not None and length != b"%d" % stream.length:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR)
        self._take_messages(stream)

    def _take_messages(self, stream: Stream) -> None:
        """Answer what has come in whole."""
        if stream.task is not None:
            return
        if stream.method is NOT_GRPC and stream.is_ended:
            stream.task = self._loop.create_task(self._refuse_http(stream))
            return
        try:
            message = self._next_message(stream)
        except Failure as failure:
            self._fail(stream, failure)
            return
        if message is not None:
            stream.task = self._loop.create_task(self._answer(stream, message), name="call")
        elif stream.is_ended and stream.method.is_streaming and not stream.method.stays_open:
            self._finish(stream, b"")

    def _next_message(self, stream: Stream) -> bytes | None:
        received = stream.received
        size = int.from_bytes(received[1:MESSAGE_HEAD], "big")
        end = MESSAGE_HEAD + size
        if len(received) < MESSAGE_HEAD or len(received) < end:
            if stream.is_ended and (received or not stream.method.is_streaming):
                raise Failure(Code.INTERNAL, "the request ended within a message")
            return None
        if stream.is_ended and len(received) > end and not stream.method.is_streaming:
            raise Failure(Code.INTERNAL, "the request has more than one message")
        message = bytes(received[MESSAGE_HEAD:end])
        is_compressed = received[0]
        self._let_go(stream, end)
        return self._inflated(stream, message) if is_compressed else message

    def _inflated(self, stream: Stream, message: bytes) -> bytes:
        encoding = stream.headers.get(b"grpc-encoding", b"identity")
        if encoding != b"gzip":
            shown = encoding.decode("latin-1")
            raise Failure(Code.UNIMPLEMENTED, f"grpc-encoding {shown!r} is not served; use gzip or identity")
        inflater = zlib.decompressobj(wbits=31)
        try:
            message = inflater.decompress(message, self._limits.message + 1)
        except zlib.error as error:
            raise Failure(Code.INTERNAL, f"the message is no gzip: {error}") from error
        if len(message) > self._limits.message:
            raise self._too_large()
        if not inflater.eof:
            raise Failure(Code.INTERNAL, "the message is no gzip: it ends too early")
        return message

    def _too_large(self) -> Failure:
        limit = self._limits.message
        return Failure(
            Code.RESOURCE_EXHAUSTED, f"the message is over {limit} bytes; send less or raise --max-body-size"
        )

    async def _answer(self, stream: Stream, message: bytes) -> None:
        try:
            answer = await stream.method.answer(message, stream.headers)
        except Failure as failure:
            self._fail(stream, failure)
            return
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._fail(stream, Failure(Code.INTERNAL, "a defect of the sidecar; its log tells more"))
            raise
        stream.task = None
        data = b"\0" + len(answer).to_bytes(4, "big") + answer
        if not stream.method.is_streaming:
            self._finish(stream, data)
            return
        self._send(stream, data)
        self._take_messages(stream)

    def _expire(self, stream: Stream) -> None:
        self._fail(stream, Failure(Code.DEADLINE_EXCEEDED, "the deadline passed"))

    # --- answers --------------------------------------------------------------------------------------------------

    def _finish(self, stream: Stream, data: bytes) -> None:
        """Send the last data of a call that went well, and its trailers."""
        if self._streams.get(stream.id) is not stream:
            return
        trailers = frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream.id, OK_TRAILER)
        stream.trailers = trailers
        self._send(stream, data)

    def _fail(self, stream: Stream, failure: Failure) -> None:
        """End a call by a status other than OK."""
        if self._streams.get(stream.id) is not stream:
            return
        if stream.task is not None and stream.task is not asyncio.current_task():
            stream.task.cancel()
        block = literal(b"grpc-status", b"%d" % failure.code) + literal(b"grpc-message", failure.percent_encoded)
        if failure.details:
            block += literal(b"grpc-status-details-bin", b64encode(failure.details).rstrip(b"="))
        if not stream.has_begun:
            block = ANSWER + block
        self._write(_headers(stream.id, block))
        self._close(stream)

    async def _refuse_http(self, stream: Stream) -> None:
        """Answer a request that is no gRPC call, in its turn."""
        block = literal(b":status", b"415") + literal(b"content-type", b"text/plain")
        self._write(frames.frame(frames.HEADERS, frames.END_HEADERS, stream.id, block))
        stream.has_begun = True
        stream.trailers = frames.frame(frames.DATA, frames.END_STREAM, stream.id)
        self._send(stream, b"this port speaks gRPC")

    def _send(self, stream: Stream, data: bytes) -> None:
        """Send DATA, and the trailers after it, as far as windows and transport allow; the rest waits."""
        begun = b"" if stream.has_begun else frames.frame(frames.HEADERS, frames.END_HEADERS, stream.id, ANSWER)
        stream.has_begun = True
        size = len(data)
        fits = size <= self._window and size <= stream.window and size <= self._frame_size
        if fits and not stream.to_send and self._stalled_since is None:  # nearly always: one write for all of it
            self._window -= size
            stream.window -= size
            head = frames.head(size, frames.DATA, 0, stream.id) if size else b""
            self._write(b"".join((begun, head, data, stream.trailers or b"")))
            if stream.trailers is not None:
                self._close(stream)
            return
        if begun:
            self._write(begun)
        stream.to_send += data
        stream.since = self._lanes.now
        self._send_waiting(stream)

    def _send_waiting(self, stream: Stream) -> None:
        """Send what waits, as far as the windows allow."""
        if not stream.to_send and stream.trailers is None:
            return
        while stream.to_send and self._stalled_since is None:
            size = min(len(stream.to_send), self._window, stream.window, self._frame_size)
            if size <= 0:
                return
            stream.since = self._lanes.now
            self._window -= size
            stream.window -= size
            self._write(frames.frame(frames.DATA, 0, stream.id, bytes(stream.to_send[:size])))
            del stream.to_send[:size]
        if not stream.to_send and stream.trailers is not None:
            self._write(stream.trailers)
            self._close(stream)

    def _go_on_sending(self) -> None:
        for stream in list(self._streams.values()):
            if stream.to_send:
                self._send_waiting(stream)

    def _write(self, data: bytes) -> None:
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(data)

    def _write_soon(self, data: bytes) -> None:
        """Write with the next answer: Go's clients send a PING with each call, and a write costs more than all else."""
        if not self._streams:
            self._write(data)
            return
        self._postponed.append(data)
        if self._postponing is None:
            self._postponing = self._loop.call_later(POSTPONED, self._write_postponed)

    def _write_postponed(self) -> None:
        self._postponing = None
        if self._postponed:
            self._flush()

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if self._postponed:
            outgoing += self._postponed
            self._postponed.clear()
        if outgoing and not self._transport.is_closing():
            self._transport.write(b"".join(outgoing))
            self._since = self._lanes.now

    # --- ends -----------------------------------------------------------------------------------------------------

    def _close(self, stream: Stream) -> None:
        """Let go of a stream whose last frame from us is written."""
        if not stream.is_ended:  # what it still sends is not wanted (RFC 9113, 8.1)
            self._write(frames.rst_stream(stream.id, ErrorCode.NO_ERROR))
            self._given_up.append(stream.id)
        self._forget(stream)

    def _reset(self, stream_id: int, code: ErrorCode) -> None:
        """End a stream because of what the client did."""
        self._write(frames.rst_stream(stream_id, code))
        self._given_up.append(stream_id)
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        self._streams.pop(stream.id, None)
        self._ended.append(stream.id)
        if stream.timer is not None:
            stream.timer.cancel()
        if stream.task is not None and stream.task is not asyncio.current_task():
            stream.task.cancel()
        self._let_go(stream, len(stream.received))
        if self._lanes.is_draining and not self._streams and not self._is_closing:
            self._is_closing = True
            self._flush()
            self._transport.close()

    def _let_go(self, stream: Stream, size: int) -> None:
        """Forget the first bytes of what a stream has received."""
        del stream.received[:size]
        self._lanes.held -= size

    def _end(self, code: ErrorCode, why: str) -> None:
        """Say why the connection can't go on, and close it."""
        if self._is_closing:
            return
        if code is not ErrorCode.NO_ERROR:
            log.debug("a gRPC connection is ended: %s: %s", code.name, why)
        self._write(frames.goaway(self._last_id, code, why))
        self._flush()
        self._is_closing = True
        self._transport.close()

    def _open_window(self, increment: int) -> None:
        self._receive_window += increment
        self._write(frames.window_update(0, increment))

    def _count_idle(self) -> None:
        self._idle_frames += 1
        if self._idle_frames > self._limits.idle_frames:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that carry no call")

    def sweep(self) -> None:
        """End what has been in one state for too long. Called once a second."""
        self._idle_frames = self._resets = 0
        now, limits = self._lanes.now, self._limits
        if self._stalled_since is not None and now - self._stalled_since > limits.stalled:
            self._transport.abort()
        elif not self._has_settings and now - self._since > limits.preface:
            self._transport.abort()
        elif self._torn_since is not None and now - self._torn_since > limits.receiving:
            self._end(ErrorCode.ENHANCE_YOUR_CALM, f"a frame did not arrive within {limits.receiving:g} s")
        else:
            for stream in list(self._streams.values()):
                self._sweep_stream(stream)

    def _sweep_stream(self, stream: Stream) -> None:
        took, limits = self._lanes.now - stream.since, self._limits
        if stream.to_send:
            if took > limits.stalled:
                self._reset(stream.id, ErrorCode.CANCEL)
        elif not stream.is_ended and (stream.received or not stream.method.is_streaming) and took > limits.receiving:
            why = f"the request did not arrive within {limits.receiving:g} s"
            self._fail(stream, Failure(Code.CANCELLED, why))

    def drain(self) -> None:
        """Take no more calls, and close the connection when those in flight have ended."""
        self._write(frames.goaway(self._last_id, ErrorCode.NO_ERROR, "the sidecar is stopping"))
        for stream in list(self._streams.values()):
            if stream.method.is_streaming and stream.task is None:  # would never end by itself
                self._fail(stream, Failure(Code.UNAVAILABLE, "the sidecar is stopping"))
        if not self._streams and not self._is_closing:
            self._flush()
            self._is_closing = True
            self._transport.close()

    def abort(self) -> None:
        """Close the connection now."""
        self._transport.abort()


Taker = Callable[[Lane, int, int, bytes], None]
_TAKERS: Final[tuple[Taker, ...]] = (
    Lane._take_data,
    Lane._take_headers,
    Lane._take_priority,
    Lane._take_rst_stream,
    Lane._take_settings,
    Lane._take_push_promise,
    Lane._take_ping,
    Lane._take_goaway,
    Lane._take_window_update,
    Lane._take_continuation,
)
"""By the type of the frame; others are ignored (RFC 9113, 4.1)."""


async def _no_answer(message: bytes, headers: Headers) -> bytes:
    raise AssertionError("a request that is no call is refused before it is read")


NOT_GRPC: Final = Method(_no_answer)
"""Of requests that are no gRPC calls."""
_UNITS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def seconds(timeout: bytes) -> float:
    """Return the seconds of a `grpc-timeout`. Raises Failure."""
    text = timeout.decode("latin-1")
    if not 2 <= len(text) <= 9 or text[-1] not in _UNITS or not text[:-1].isdecimal():
        raise Failure(Code.INTERNAL, f"grpc-timeout is {text!r}; write up to 8 digits and one of H, M, S, m, u, n")
    return int(text[:-1]) * _UNITS[text[-1]]


def _headers(stream_id: int, block: bytes) -> bytes:
    """Return a header block as the last of a stream, in as many frames as it takes."""
    if len(block) <= frames.MAX_FRAME:
        return frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream_id, block)
    parts = [block[at : at + frames.MAX_FRAME] for at in range(0, len(block), frames.MAX_FRAME)]
    first = frames.frame(frames.HEADERS, frames.END_STREAM, stream_id, parts[0])
    middle = [frames.frame(frames.CONTINUATION, 0, stream_id, part) for part in parts[1:-1]]
    return b"".join((first, *middle, frames.frame(frames.CONTINUATION, frames.END_HEADERS, stream_id, parts[-1])))
