"""The gRPC wire protocol on one connection: requests become calls, and calls are answered.

    https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

A stream whose request is whole becomes a call; the answer goes out as headers, data and trailers.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ..serving import Connections
from . import frames
from .frames import ErrorCode
from .framing import HEAD, first_end, framed, inflated, seconds, too_large
from .headers import ANSWER, OK_TRAILER, Headers, literal
from .http2 import Connection
from .limits import Limits
from .status import Code, Failure
from .stream import Stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

GRPC: Final = b"application/grpc"
_BEGINS: Final = frames.Prepared(frames.HEADERS, frames.END_HEADERS, ANSWER)
_IS_WELL: Final = frames.Prepared(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, OK_TRAILER)


@dataclass(frozen=True, slots=True)
class Method:
    """How the calls of one method are answered."""

    answer: Callable[[bytes, Headers], Awaitable[bytes]]
    """From a message and the call's headers to a message. Raises Failure for a status other than OK."""
    is_streaming: bool = False
    """Each message of the client is answered as it comes; else there is exactly one."""
    looks_again_after: float | None = None
    """Seconds until it is answered anew, if the answer is another one then; and so on until the client gives it up."""


@dataclass(slots=True, eq=False)
class Lanes(Connections["Lane"]):
    """What all connections of a listener share."""

    find: Callable[[bytes, Headers], Method]
    """From a path and the call's headers to its method. Raises Failure."""
    limits: Limits = field(default_factory=Limits)
    held: int = field(default=0, init=False)
    """Bytes of requests that are still arriving."""


class Call(Stream):
    """One call, from its headers to its trailers."""

    __slots__ = ("has_begun", "method", "task", "timer")

    def __init__(self, stream_id: int, headers: Headers, windows: tuple[int, int], now: float):
        super().__init__(stream_id, headers, windows, now)
        self.method = NOT_GRPC
        self.has_begun = False
        """The headers of the answer are written."""
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        """Of the call's deadline."""


class Lane(Connection[Call]):
    """One connection of gRPC clients."""

    def __init__(self, lanes: Lanes):
        super().__init__(lanes, lanes.limits, lanes.limits.message + HEAD)
        self._lanes = lanes

    # --- requests -------------------------------------------------------------------------------------------------

    def _begin(self, stream_id: int, headers: Headers, *, has_body: bool) -> None:
        call = Call(stream_id, headers, (self._stream_window, self._own_window), self._lanes.now)
        self._streams[stream_id] = call
        try:
            if headers[b":method"] == b"POST" and _is_grpc(headers.get(b"content-type", b"")):
                call.method = self._lanes.find(headers[b":path"], headers)
            timeout = headers.get(b"grpc-timeout")
            if timeout is not None:
                call.timer = self._loop.call_later(seconds(timeout), self._expire, call)
        except Failure as failure:
            self._fail(call, failure)
            return
        if not has_body:
            self._end_request(call)

    def _hold(self, call: Call, data: bytes) -> None:
        call.received += data
        lanes = self._lanes
        lanes.held += len(data)
        if len(call.received) > self._limits.message + HEAD:
            self._fail(call, too_large(self._limits.message))
        elif lanes.held > self._limits.all_messages:
            why = "too many large requests are arriving; send fewer at once"
            self._fail(call, Failure(Code.RESOURCE_EXHAUSTED, why))

    def _take_arrived(self, call: Call) -> None:
        """Answer what has come in whole."""
        if call.task is not None or not (call.is_ended or call.method.is_streaming):
            return
        if call.method is NOT_GRPC:
            call.task = self._loop.create_task(self._refuse_http(call))
            return
        try:
            message = self._next_message(call)
        except Failure as failure:
            self._fail(call, failure)
            return
        if message is not None:
            call.task = self._loop.create_task(self._answer(call, message), name="call")
        elif call.is_ended and call.method.is_streaming:
            self._finish(call, b"")

    def _next_message(self, call: Call) -> bytes | None:
        received, is_unary = call.received, not call.method.is_streaming
        end = first_end(received)
        if end is None:
            if call.is_ended and received:
                raise Failure(Code.INTERNAL, "the request ended within a message")
            if call.is_ended and is_unary:
                raise Failure(Code.UNIMPLEMENTED, "the request has no message")
            return None
        if is_unary and len(received) > end:
            raise Failure(Code.UNIMPLEMENTED, "the request has more than one message")
        message = bytes(received[HEAD:end])
        is_compressed = received[0]
        self._let_go(call, end)
        if not is_compressed:
            return message
        return inflated(message, call.headers.get(b"grpc-encoding", b"identity"), self._limits.message)

    def _let_go(self, call: Call, size: int) -> None:
        """Forget the first bytes of what a call has received."""
        del call.received[:size]
        self._lanes.held -= size

    # --- answers --------------------------------------------------------------------------------------------------

    async def _answer(self, call: Call, message: bytes) -> None:
        try:
            answer = await call.method.answer(message, call.headers)
        except Failure as failure:
            self._fail(call, failure)
            return
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._fail(call, Failure(Code.INTERNAL, "a defect of the sidecar; its log tells more"))
            raise
        if call.method.looks_again_after is not None:
            self._send(call, framed(answer))
            await self._look_again(call, call.method.looks_again_after, message, answer)
            return
        call.task = None
        if not call.method.is_streaming:
            self._finish(call, framed(answer))
            return
        self._send(call, framed(answer))
        self._take_arrived(call)

    async def _look_again(self, call: Call, pause: float, message: bytes, last: bytes) -> None:
        """Answer whenever the answer is another one, until the client gives the call up."""
        while True:
            await asyncio.sleep(pause)
            answer = await call.method.answer(message, call.headers)
            if answer != last:
                self._send(call, framed(answer))
            last = answer

    def _finish(self, call: Call, data: bytes) -> None:
        """Send the last data of a call that went well, and its trailers."""
        if self._streams.get(call.id) is call:
            call.trailers = _IS_WELL.on(call.id)
            self._send(call, data)

    def _fail(self, call: Call, failure: Failure) -> None:
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
        """Answer a request that is no gRPC call, in its turn."""
        block = literal(b":status", b"415") + literal(b"content-type", b"text/plain")
        self._sender.write(frames.frame(frames.HEADERS, frames.END_HEADERS, call.id, block))
        call.has_begun = True
        call.trailers = frames.frame(frames.DATA, frames.END_STREAM, call.id)
        self._send(call, b"this port speaks gRPC")

    def _send(self, call: Call, data: bytes) -> None:
        headers = b"" if call.has_begun else _BEGINS.on(call.id)
        call.has_begun = True
        if self._sender.send(call, headers, data):
            self._close(call)

    # --- ends -----------------------------------------------------------------------------------------------------

    def _expire(self, call: Call) -> None:
        self._fail(call, Failure(Code.DEADLINE_EXCEEDED, "the deadline passed"))

    def _forget(self, call: Call) -> None:
        if call.timer is not None:
            call.timer.cancel()
        if call.task is not None and call.task is not asyncio.current_task():
            call.task.cancel()
        self._let_go(call, len(call.received))
        super()._forget(call)

    def _sweep_stream(self, call: Call) -> None:
        took, limits = self._lanes.now - call.since, self._limits
        if call.to_send:
            if took > limits.stalled:
                self._reset(call.id, ErrorCode.CANCEL)
        elif not call.is_ended and (call.received or not call.method.is_streaming) and took > limits.receiving:
            why = f"the request did not arrive within {limits.receiving:g} s"
            self._fail(call, Failure(Code.CANCELLED, why))

    def _stop(self, call: Call) -> None:
        if call.method.looks_again_after is not None or (call.method.is_streaming and call.task is None):
            self._fail(call, Failure(Code.UNAVAILABLE, "the sidecar is stopping"))


def _is_grpc(content_type: bytes) -> bool:
    """Say whether it is `application/grpc`, or one with a suffix; `application/grpc-web` is another protocol."""
    return content_type == GRPC or content_type.startswith((GRPC + b"+", GRPC + b";"))


async def _no_answer(message: bytes, headers: Headers) -> bytes:
    raise AssertionError("a request that is no call is refused before it is read")


NOT_GRPC: Final = Method(_no_answer)
"""Of requests that are no gRPC calls."""
