"""The calls of one connection: requests become calls, and calls are answered.

    https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

A stream whose request is whole becomes a call; the answer goes out as headers, data and trailers.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ..http2.connection import Http2Connection
from .answers import GRPC, NO_TRAILERS, NOT_GRPC_HEADERS, OK_TRAILERS, RESPONSE_HEADERS
from .call import Call
from .framing import PREFIX_SIZE, framed, inflated, only_message, parse_timeout, too_large
from .gate import Gate
from .limiting import LimitedCalls
from .limits import FEW_FIELDS, FIELD, SMALL_MESSAGE
from .method import NOT_GRPC
from .status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..http2.frames import Prepared
    from ..http2.handler import Writer
    from ..http2.headers import RequestHeaders
    from .fast_path import FastCall, FastMethod, Rest
    from .listener import GrpcListener
    from .method import Messages

DEFECT: Final = "a defect of the sidecar; its log tells more"
BEGUN_OF_READ: Final = 64
"""Maximum number of calls that are begun for one read. Further ones have tasks, so that other connections get their
turn, and the limit of streams holds even if the store answers at once.
"""
TOGETHER: Final = 16 * 1024
"""Bytes of a streamed answer that may be sent in one write."""
FAIR_GUESS: Final = range(16)
"""Bytes by which an answer may be smaller than expected without changing the estimate."""


class Calls(LimitedCalls):
    """Handles the streams of one connection."""

    __slots__ = (
        "_latest",
        "_loop",
        "_max_message",
        "_unpacking",
        "begun_of_read",
        "on_empty",
    )

    def __init__(self, listener: GrpcListener, writer: Writer):
        super().__init__(listener)
        self.http2 = Http2Connection(listener.http2, self, writer)
        self._gate = Gate(listener, self.http2.output)
        self.on_empty: Callable[[], None] | None = None
        """Called when the last call has ended."""
        self._max_message = listener.limits.message + PREFIX_SIZE
        self._loop = asyncio.get_running_loop()
        self.begun_of_read = 0
        """Calls on the fast path since the connection last read; set to 0 before each read."""
        self._latest: Call | None = None
        """The last call that was given a task, until that task runs."""
        self._unpacking = asyncio.Lock()

    # --- events of streams ----------------------------------------------------------------------------------------

    def request_begun(self, stream_id: int, headers: RequestHeaders) -> None:
        """Find the method of a call; refuse the call if there is none."""
        if headers.note is not None:  # an earlier call had the same block
            self._open[stream_id] = Call(stream_id, headers, self._listener.now, headers.note)
            return
        self._open[stream_id] = call = Call(stream_id, headers, self._listener.now, NOT_GRPC)
        if len(headers) > FEW_FIELDS:
            self._count(call, FIELD * len(headers))
        try:
            if headers[b":method"] == b"POST" and _is_grpc(headers.get(b"content-type", b"")):
                call.method = self._listener.find(headers[b":path"], headers)
            timeout = headers.get(b"grpc-timeout")
            if timeout is not None:
                call.timer = self._loop.call_later(parse_timeout(timeout), self._expire, call)
            elif len(headers) <= FEW_FIELDS:
                headers.note = call.method
        except StatusError as failure:
            self._fail(call, failure)

    def data_arrived(self, stream_id: int, data: bytes, is_last: bool) -> None:
        """Keep what has arrived, and answer what is whole."""
        call = self._open[stream_id]
        call.is_whole = is_last
        if is_last and not call.received and not call.method.is_streaming:  # nearly always
            call.received = data
        else:
            call.add(data)
        size, budget = len(data), self._listener.budget
        call.held += size
        budget.held += size
        if len(call.received) > self._max_message:
            self._fail(call, too_large(self._limits.message))
            return
        if budget.held > budget.limit:
            budget.relieve()
            if stream_id not in self._open:
                return
        self._take_arrived(call)

    def data_queued(self, stream_id: int, size: int) -> None:
        """Count what waits for the client."""
        call = self._open[stream_id]
        call.queued += size
        self._listener.budget.held += size
        call.since = call.kept = self._listener.now
        call.kept_behind = self.http2.output.queued

    def data_dequeued(self, stream_id: int, size: int) -> None:
        """Note that the answer has made progress."""
        call = self._open[stream_id]
        call.queued -= size
        self._listener.budget.held -= size
        call.since = self._progressed = self._listener.now
        if call.taken is not None and not call.queued and not call.taken.done():
            call.taken.set_result(None)

    def stream_closed(self, stream_id: int) -> None:
        """End the work that is still done for a call."""
        call = self._open.pop(stream_id)
        if call.is_begun:
            call.is_begun = False
            self._gate.begun -= 1
        if call is self._latest:
            self._latest = None
        if call.timer is not None:
            call.timer.cancel()
        if call.task is not None and call.task is not asyncio.current_task():
            call.task.cancel()
        call.task = None  # else a reference cycle would keep the cancelled task's traceback, and the values in it
        self._listener.budget.held -= call.held + call.queued
        call.held = call.queued = 0
        if self._gate.waiting:
            self._gate.open()
        if self.on_empty is not None and not self._open:
            self.on_empty()

    # --- answers --------------------------------------------------------------------------------------------------

    def _take_arrived(self, call: Call) -> None:
        """Answer the messages that have arrived completely."""
        if call.task is not None or not (call.is_whole or call.method.is_streaming):
            return
        if call.method is NOT_GRPC:
            call.task = self._loop.create_task(self._refuse_http(call))
            return
        if call.method.fast is not None and self._begin(call, call.method.fast):
            return
        before = len(call.received)
        try:
            message = call.next_message()
        except StatusError as failure:
            self._fail(call, failure)
            return
        if message is not None:
            if call.method.is_streaming:
                self._count(call, len(call.received) - before)
            self._latest = call
            answer = self._answer if call.method.stream is None else self._stream
            call.task = self._loop.create_task(answer(call, *message), name="call")
        elif call.is_whole and call.method.is_streaming:
            self._send(call, b"", OK_TRAILERS)

    def _begin(self, call: Call, method: FastMethod) -> bool:
        """Begin a call on the fast path. Return False if nothing was begun; then it goes the general way."""
        gate = self._gate
        if self._latest is not None or not gate.is_open():  # calls begin in the order in which they came
            return False
        if self.begun_of_read >= BEGUN_OF_READ:
            return False
        message = only_message(call.received)
        if message is None:
            return False
        gate.begun += 1
        call.is_begun = True  # it may be answered before `begin` returns
        if method.begin(message, self, call):
            self.begun_of_read += 1
            call.received = b""
            return True
        gate.begun -= 1
        call.is_begun = False
        return False

    def finish(self, call: Call, answer: bytes) -> None:
        """Answer a call on the fast path."""
        gate, listener = self._gate, self._listener
        call.is_begun, call.task = False, None
        gate.begun -= 1
        if gate.waiting:
            self._loop.call_soon(gate.open)
        if listener.expected - len(answer) not in FAIR_GUESS:
            listener.learn(len(answer))
        self._send(call, framed(answer), OK_TRAILERS)

    def resume(self, begun: FastCall[Call], rest: Rest) -> None:
        """Answer a call on the fast path that needs more than one request to its store."""
        self._loop.create_task(self._see_through(begun, rest), name="call")

    async def _see_through(self, begun: FastCall[Call], rest: Rest) -> None:
        call = begun.call
        if not call.is_begun:
            begun.abandon(rest)
            return
        call.task = asyncio.current_task()  # not earlier: a task that is cancelled before it runs counts no end
        try:
            answer = await begun.method.see_through(begun, rest)
        except StatusError as failure:
            self._fail(call, failure)
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._fail(call, StatusError(Code.INTERNAL, DEFECT))
            raise
        else:
            if call.is_begun:
                self.finish(call, answer)

    async def _answer(self, call: Call, message: bytes, is_compressed: bool) -> None:
        method, listener, gate = call.method, self._listener, self._gate
        if call is self._latest:
            self._latest = None
        if method.is_unary:
            if not gate.is_open():
                await gate.wait(call)
            gate.begun += 1
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
            self._fail(call, StatusError(Code.INTERNAL, DEFECT))
            raise
        finally:
            gate.begun -= method.is_unary
            if gate.waiting:
                self._loop.call_soon(gate.open)
        if listener.expected - len(answer) not in FAIR_GUESS:
            listener.learn(len(answer))
        if method.poll_interval is not None:
            self._send(call, framed(answer))
            await self._poll(call, method.poll_interval, message, answer)
            return
        call.task = None
        if not method.is_streaming:
            self._send(call, framed(answer), OK_TRAILERS)
            return
        self._send(call, framed(answer))
        if self._open.get(call.id) is call:  # else it was given up because it made us hold too much
            self._take_arrived(call)

    async def _answer_compressed(self, call: Call, message: bytes) -> bytes:
        """Answer a call with a compressed message, few at a time: a small message may decompress to a large one."""
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
        while self._open.get(call.id) is call:
            await asyncio.sleep(pause)
            answer = await call.method.answer(message, call.headers)
            if answer != last:
                self._send(call, framed(answer))
            last = answer

    async def _stream(self, call: Call, message: bytes, is_compressed: bool) -> None:
        """Answer with many messages: each is asked for when the client has taken those before it."""
        if call is self._latest:
            self._latest = None
        assert call.method.stream is not None
        try:
            if is_compressed:
                message = await self._unpacked(call, message)
            messages = await call.method.stream(message, call.headers)
            try:
                await self._send_all(call, messages)
            finally:
                await messages.aclose()
        except StatusError as failure:
            self._fail(call, failure)
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._fail(call, StatusError(Code.INTERNAL, DEFECT))
            raise

    async def _send_all(self, call: Call, messages: Messages) -> None:
        together = 0
        async for message in messages:
            self._send(call, framed(message))
            together += len(message)
            if call.queued:
                call.taken = self._loop.create_future()
                await call.taken
            elif together > TOGETHER:
                together = 0
                await asyncio.sleep(0)  # they are written, and other calls get their turn
        self._send(call, b"", OK_TRAILERS)

    def _send(self, call: Call, data: bytes, trailers: Prepared | None = None) -> None:
        headers = None if call.has_begun else RESPONSE_HEADERS
        call.has_begun = True
        self.http2.send(call.id, headers, data, trailers)
        if call.queued and self._listener.budget.held > self._listener.budget.limit:
            self._listener.budget.relieve()

    async def _refuse_http(self, call: Call) -> None:
        """Answer a request that is not a gRPC call with HTTP 415."""
        call.has_begun = True
        self.http2.send(call.id, NOT_GRPC_HEADERS, b"this port speaks gRPC", NO_TRAILERS)


def _is_grpc(content_type: bytes) -> bool:
    """Return whether it is `application/grpc`, with or without a suffix; `application/grpc-web` is another protocol."""
    return content_type == GRPC or content_type.startswith((GRPC + b"+", GRPC + b";"))
