"""The gRPC wire protocol on one connection: requests become calls, and calls are answered.

    https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

A stream whose request is whole becomes a call; the answer goes out as headers, data and trailers.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ..serving import Listener, time_to_take
from ..state.pacing import Pace
from . import frames
from .frames import ErrorCode
from .framing import PREFIX_SIZE, first_end, framed, inflated, parse_timeout, too_large
from .headers import ANSWER, OK_TRAILER, Headers, literal
from .http2 import Http2Connection
from .limits import Limits
from .status import Code, StatusError
from .stream import Stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

GRPC: Final = b"application/grpc"
SHARES: Final = 8
"""Fraction of the budget (1/8) that one connection's answers may use before its further calls wait."""
UNPACKED: Final = 4
"""Maximum of large compressed messages that are answered at the same time, on all connections."""
SMALL_MESSAGE: Final = 64 * 1024
FAIR_GUESS: Final = range(16)
"""Bytes by which an answer may be smaller than expected without changing the estimate."""
FEW_FIELDS: Final = 32
FIELD: Final = 150
"""Bytes that each field of longer headers is counted for."""
RESPONSE_HEADERS: Final = frames.Prepared(frames.HEADERS, frames.END_HEADERS, ANSWER)
OK_TRAILERS: Final = frames.Prepared(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, OK_TRAILER)


@dataclass(frozen=True, slots=True)
class Method:
    """How the calls of one method are answered."""

    answer: Callable[[bytes, Headers], Awaitable[bytes]]
    """From a message and the call's headers to a message. Raises StatusError for a status other than OK."""
    is_streaming: bool = False
    """Each message of the client is answered as it comes; else there is exactly one."""
    poll_interval: float | None = None
    """For server streaming by polling: seconds between two calls of `answer`. Each answer that differs from the last
    one is sent, until the client cancels the call."""

    is_unary: bool = field(init=False)
    """It has one answer, after which the call ends."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_unary", not self.is_streaming and self.poll_interval is None)


@dataclass(slots=True, eq=False)
class GrpcListener(Listener["GrpcConnection"]):
    """What all connections of a listener share."""

    find: Callable[[bytes, Headers], Method]
    """From a path and the call's headers to its method. Raises StatusError."""
    limits: Limits = field(default_factory=Limits)
    pace: Pace = field(default_factory=Pace)
    unpacking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(UNPACKED), init=False)
    expected: int = field(default=32 * 1024, init=False)
    """Bytes that the next answer may have: it grows with large ones at once, and falls slowly."""
    at_once: int = field(default=0, init=False)
    """Calls that one connection may have in progress, if the client reads their answers."""

    def __post_init__(self) -> None:
        self.learn(0)

    @property
    def share(self) -> int:
        """Bytes that the answers of one connection may have before its further calls wait."""
        return self.budget.limit // SHARES

    def learn(self, size: int) -> None:
        """Update the estimate by the size of an answer."""
        self.expected = size if size > self.expected else self.expected - (self.expected - size >> 4)
        self.at_once = max(1, self.share // self.expected)


class Call(Stream):
    """One call, from its headers to its trailers."""

    __slots__ = ("has_begun", "held", "method", "task", "timer", "waits")

    def __init__(self, stream_id: int, headers: Headers, windows: tuple[int, int], now: float):
        super().__init__(stream_id, headers, windows, now)
        self.method = NOT_GRPC
        self.has_begun = False
        """The headers of the answer are written."""
        self.held = 0
        """Bytes that are counted for its request, until it ends."""
        self.waits = False
        """The request is whole, and waits in the gate until the client has read other answers."""
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        """Of the call's deadline."""


class GrpcConnection(Http2Connection[Call]):
    """One connection of gRPC clients."""

    __slots__ = ("_begun", "_gate", "_is_penalized", "_unpacking")

    _listener: GrpcListener

    def __init__(self, listener: GrpcListener):
        super().__init__(listener, listener.limits, listener.limits.message + PREFIX_SIZE)
        self._begun = 0
        """Calls that are being answered."""
        self._unpacking = asyncio.Lock()
        self._is_penalized = False
        """An answer was dropped: no call begins before the next sweep, or each might cost another answer."""
        self._gate: deque[asyncio.Future[None]] = deque()
        """Calls that wait until the client has read other answers."""

    # --- requests -------------------------------------------------------------------------------------------------

    def _begin(self, stream_id: int, headers: Headers, *, has_body: bool) -> None:
        call = Call(stream_id, headers, (self._stream_window, self._own_window), self._listener.now)
        self._streams[stream_id] = call
        if len(headers) > FEW_FIELDS:
            self._count(call, FIELD * len(headers))
        try:
            if headers[b":method"] == b"POST" and _is_grpc(headers.get(b"content-type", b"")):
                call.method = self._listener.find(headers[b":path"], headers)
            timeout = headers.get(b"grpc-timeout")
            if timeout is not None:
                call.timer = self._loop.call_later(parse_timeout(timeout), self._expire, call)
        except StatusError as failure:
            self._fail(call, failure)
            return
        if not has_body:
            self._end_request(call)

    def _hold(self, call: Call, data: bytes) -> None:
        call.received += data
        budget = self._listener.budget
        call.held += len(data)
        budget.held += len(data)
        if len(call.received) > self._limits.message + PREFIX_SIZE:
            self._fail(call, too_large(self._limits.message))
        elif budget.held > budget.limit:
            budget.relieve()

    def _count(self, call: Call, size: int) -> None:
        """Count what a call makes us hold, or no longer does."""
        call.held += size
        budget = self._listener.budget
        budget.held += size
        if size > 0 and budget.held > budget.limit:
            budget.relieve()

    def _take_arrived(self, call: Call) -> None:
        """Answer what has come in whole."""
        if call.task is not None or not (call.is_ended or call.method.is_streaming):
            return
        if call.method is NOT_GRPC:
            call.task = self._loop.create_task(self._refuse_http(call))
            return
        try:
            message = self._next_message(call)
        except StatusError as failure:
            self._fail(call, failure)
            return
        if message is not None:
            call.task = self._loop.create_task(self._answer(call, *message), name="call")
        elif call.is_ended and call.method.is_streaming:
            self._finish(call, b"")

    def _next_message(self, call: Call) -> tuple[bytes, bool] | None:
        """Return the next message, and whether it is compressed; None where it has not arrived yet."""
        received, is_unary = call.received, not call.method.is_streaming
        end = first_end(received)
        if end is None:
            if call.is_ended and received:
                raise StatusError(Code.INTERNAL, "the request ended within a message")
            if call.is_ended and is_unary:
                raise StatusError(Code.UNIMPLEMENTED, "the request has no message")
            return None
        if is_unary and len(received) > end:
            raise StatusError(Code.UNIMPLEMENTED, "the request has more than one message")
        message = bytes(received[PREFIX_SIZE:end])
        is_compressed = received[0] != 0
        del received[:end]
        if not is_unary:
            self._count(call, -end)
        return message, is_compressed

    # --- answers --------------------------------------------------------------------------------------------------

    async def _answer(self, call: Call, message: bytes, is_compressed: bool) -> None:
        method, listener = call.method, self._listener
        if method.is_unary and (
            self._gate or self._sender.untaken or self._begun >= listener.at_once or self._is_penalized
        ):
            await self._wait_for_room(call)
        self._begun += method.is_unary
        try:
            if is_compressed and method.is_unary:
                answer = await self._answer_compressed(call, message)
            else:
                if is_compressed:
                    message = await self._unpacked(call, message)
                answer = await method.answer(message, call.headers)
        except StatusError as failure:
            self._fail(call, failure)
            return
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._fail(call, StatusError(Code.INTERNAL, "a defect of the sidecar; its log tells more"))
            raise
        finally:
            self._begun -= method.is_unary
            if self._gate:
                self._loop.call_soon(self._open_gate)
        if listener.expected - len(answer) not in FAIR_GUESS:
            listener.learn(len(answer))
        if method.poll_interval is not None:
            self._send(call, framed(answer))
            await self._poll(call, method.poll_interval, message, answer)
            return
        call.task = None
        if not method.is_streaming:
            self._finish(call, framed(answer))
            return
        self._send(call, framed(answer))
        if self._streams.get(call.id) is call:  # else it was given up for what it makes us hold
            self._take_arrived(call)

    def _is_full(self) -> bool:
        """Say whether unread answers, and those expected of calls in progress, fill the connection's share."""
        if self._is_penalized:
            return True
        waiting, begun, share = self._sender.untaken, self._begun, self._listener.share
        return waiting > share or (begun > 0 and waiting + (begun + 1) * self._listener.expected > share)

    async def _wait_for_room(self, call: Call) -> None:
        """Wait until the client has read enough of the answers before this one."""
        is_first = not self._gate
        while not is_first or self._is_full():
            call.waits, is_first = True, True
            opened = self._loop.create_future()
            self._gate.append(opened)
            await opened
        call.waits = False
        if self._gate:
            self._loop.call_soon(self._open_gate)

    def _open_gate(self) -> None:
        """Start the next waiting call, if there is room for it."""
        while self._gate and (self._gate[0].done() or not self._is_full()):
            opened = self._gate.popleft()
            if not opened.done():  # else its call was given up
                opened.set_result(None)
                break

    async def _answer_compressed(self, call: Call, message: bytes) -> bytes:
        """Answer a call with a compressed message: few at a time, because a small message may decompress to a large
        one.
        """
        async with self._unpacking, self._listener.unpacking:
            unpacked = await self._unpacked(call, message)
            if len(unpacked) > SMALL_MESSAGE:
                return await call.method.answer(unpacked, call.headers)
        return await call.method.answer(unpacked, call.headers)

    async def _unpacked(self, call: Call, message: bytes) -> bytes:
        encoding, limit = call.headers.get(b"grpc-encoding", b"identity"), self._limits.message
        unpacked = await self._listener.pace.run(lambda: inflated(message, encoding, limit))
        self._count(call, len(unpacked))
        return unpacked

    async def _poll(self, call: Call, pause: float, message: bytes, last: bytes) -> None:
        """Send the answer whenever it has changed, until the client cancels the call."""
        while self._streams.get(call.id) is call:
            await asyncio.sleep(pause)
            answer = await call.method.answer(message, call.headers)
            if answer != last:
                self._send(call, framed(answer))
            last = answer

    def _finish(self, call: Call, data: bytes) -> None:
        """Send the last data of a call that went well, and its trailers."""
        if self._streams.get(call.id) is call:
            call.trailers = OK_TRAILERS.on(call.id)
            self._send(call, data)

    def _fail(self, call: Call, failure: StatusError) -> None:
        """End a call by a status other than OK."""
        if self._streams.get(call.id) is not call:
            return
        if call.task is not None and call.task is not asyncio.current_task():
            call.task.cancel()
        block = literal(b"grpc-status", b"%d" % failure.code) + literal(b"grpc-message", failure.percent_encoded)
        if failure.details:
            block += literal(b"grpc-status-details-bin", b64encode(failure.details).rstrip(b"="))
        if not call.has_begun:
            block = ANSWER + block
        self._sender.write(frames.last_headers(call.id, block))
        self._close(call)

    async def _refuse_http(self, call: Call) -> None:
        """Answer a request that is not a gRPC call with HTTP 415."""
        block = literal(b":status", b"415") + literal(b"content-type", b"text/plain")
        self._sender.write(frames.frame(frames.HEADERS, frames.END_HEADERS, call.id, block))
        call.has_begun = True
        call.trailers = frames.frame(frames.DATA, frames.END_STREAM, call.id)
        self._send(call, b"this port speaks gRPC")

    def _send(self, call: Call, data: bytes) -> None:
        headers = b"" if call.has_begun else RESPONSE_HEADERS.on(call.id)
        call.has_begun = True
        if self._sender.send(call, headers, data):
            self._close(call)

    # --- ends -----------------------------------------------------------------------------------------------------

    def _expire(self, call: Call) -> None:
        self._fail(call, StatusError(Code.DEADLINE_EXCEEDED, "the deadline passed"))

    def _forget(self, call: Call) -> None:
        if call.timer is not None:
            call.timer.cancel()
        if call.task is not None and call.task is not asyncio.current_task():
            call.task.cancel()
        call.task = None  # else the traceback of what was cancelled, and its values, would be kept by a cycle
        self._listener.budget.held -= call.held
        call.held = 0
        super()._forget(call)
        if self._gate:
            self._open_gate()

    def _waiting(self, now: float) -> list[tuple[int, float, Call]]:
        waiting: list[tuple[int, float, Call]] = []
        for call in self._streams.values():
            if call.to_send:
                waiting.append((len(call.to_send) + call.held, now - call.kept + 0.5, call))
            elif call.held and (call.task is None or call.waits):
                waiting.append((call.held, now - call.since + 0.5, call))
        return waiting

    def _let_go_of(self, call: Call) -> None:
        self._is_penalized = True
        if call.has_begun:  # a part of its message may be out
            self._reset(call.id, ErrorCode.ENHANCE_YOUR_CALM)
            return
        why = "too much is held for all clients together; send fewer large requests at once, and take their answers"
        self._fail(call, StatusError(Code.RESOURCE_EXHAUSTED, why))

    def sweep(self) -> None:
        """End what has been in one state for too long, and let calls begin again."""
        self._is_penalized = False
        super().sweep()
        self._open_gate()

    def _sweep_stream(self, call: Call) -> None:
        now, limits = self._listener.now, self._limits
        took = now - call.since
        if call.to_send:
            if call.window > 0:  # the connection's window is closed, or other streams are sent first
                took = now - max(call.since, self._sender.progressed)
            if took > limits.stalled or now - call.kept > time_to_take(call.kept_behind, limits.stalled):
                self._reset(call.id, ErrorCode.CANCEL)
        elif not call.is_ended and (call.received or not call.method.is_streaming) and took > limits.receiving:
            why = f"the request did not arrive within {limits.receiving:g} s"
            self._fail(call, StatusError(Code.CANCELLED, why))

    def _stop(self, call: Call) -> None:
        if call.method.poll_interval is not None or (call.method.is_streaming and call.task is None):
            self._fail(call, StatusError(Code.UNAVAILABLE, "the sidecar is stopping"))


def _is_grpc(content_type: bytes) -> bool:
    """Say whether it is `application/grpc`, or one with a suffix; `application/grpc-web` is another protocol."""
    return content_type == GRPC or content_type.startswith((GRPC + b"+", GRPC + b";"))


async def _no_answer(message: bytes, headers: Headers) -> bytes:
    raise AssertionError("a request that is no call is refused before it is read")


NOT_GRPC: Final = Method(_no_answer)
"""Of requests that are no gRPC calls."""
