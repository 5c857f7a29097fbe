"""One connection of a client: HTTP/1.1 on an asyncio transport, answered without a framework.

Requests of a connection are answered one after another, so answers keep their order (RFC 9112, 9.3.2). What a client
can make us hold is bounded: header sections, bodies, bodies of all connections together, pipelined requests (reading
pauses), and the time for each step (`HttpConnection.sweep`).
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final

from .encoding import refusal
from .limits import BUFFERED, QUEUED
from .messages import Answer, Call, EndlessAnswer, StreamedAnswer, StreamedCall
from .streaming import StreamingConnection

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .endless import EndlessBody
    from .listener import HttpListener

COPIED: Final = 64 * 1024
"""A body of at most this many bytes is copied after the header section, so that both are one write."""
DEFECT: Final = refusal(500, "ERROR", "a defect of the sidecar; its log tells more")
DEFECT.closes = True


class HttpConnection(StreamingConnection):
    """One connection."""

    __slots__ = (
        "_answering",
        "_endless",
        "_fast_body",
        "_has_eof",
        "_is_begun",
        "_more",
        "_rest",
    )

    _listener: HttpListener

    def __init__(self, listener: HttpListener):
        super().__init__(listener, listener.limits)
        self._answering: asyncio.Task[None] | None = None
        """The task that answers requests off the fast path. It is made for the first of them and kept, because a task
        for each request would cost a tenth of a call."""
        self._is_begun = False
        """A request on the fast path is being answered."""
        self._rest: Awaitable[Answer] | None = None
        """The rest of that request, for the task to await."""
        self._fast_body = 0
        """Bytes of its body, which are counted in the budget."""
        self._more: asyncio.Future[None] | None = None
        """Wakes the task that answers, while it waits for a request."""
        self._has_eof = False
        self._endless: EndlessBody | None = None
        """The body of an answer without an end that is being sent."""

    # --- called by the transport ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports do not derive from asyncio's
        self._transport.set_write_buffer_limits(BUFFERED)
        listener = self._listener
        has_room = listener.find_room(self._limits.connections)
        self._arrival = listener.budget.arrivals
        self._opened_at = self._since
        listener.open.add(self)
        if not has_room:
            self._refuse(503, f"{len(listener.open) - 1} connections are open and at work; use fewer")

    def connection_lost(self, exc: Exception | None) -> None:
        listener = self._listener
        if self._endless is not None:
            self._endless.drop()
        self._give_up_stream(400, "the connection ended before the body did")
        self._drop_waiting()
        listener.budget.held -= self._held + self._unread
        self._held = self._unread = self._header_held = 0
        self._let_go()
        if self._more is not None:
            self._more.set_result(None)
            self._more = None
        if self._drained is not None:
            self._drained.set()
        listener.lost(self)

    def eof_received(self) -> bool:
        """Keep a half-closed connection until its requests are answered: `nc -N` and others close their side early. An
        answer without an end is ended, because nothing else shows that the client has gone.
        """
        self._has_eof = True
        if self._endless is not None:
            self._endless.drop()
            return False
        self._give_up_stream(400, "the body ended too early")
        return self._is_busy

    def pause_writing(self) -> None:
        self._drained = asyncio.Event()
        self._since = self._listener.now
        unread = self._transport.get_write_buffer_size()
        self._taking = self._since, unread
        self._count_unread(unread)

    def resume_writing(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None
            self._since = self._listener.now
        self._count_unread(0)

    # --- requests and answers -------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        fast_path = self._listener.fast_path
        if (
            fast_path is None
            or self._is_busy
            or self._in_message
            or self._is_torn
            or self._is_lingering  # the last answer was given: what the client sends now is not carried out
            or len(data) > self._max_part
        ):
            if self._endless is None:
                super().data_received(data)
            else:
                self._endless.discard(len(data))
            return
        self._is_begun = True  # until `finish`, which may come before `begin` returns
        size = fast_path.begin(data, self)
        if size is None:
            self._is_begun = False
            super().data_received(data)
            if len(self._queue) == 1 and not (self._in_message or self._is_torn or self._unparsed):
                item = self._queue[0]
                if isinstance(item, Call):
                    fast_path.learn(data, item)
        elif self._is_begun:
            self._is_busy = True
            if size:
                self._fast_body = size
                self._count(size)

    def finish(self, answer: Answer) -> None:
        """Answer the request on the fast path."""
        self._is_begun = False
        transport, listener = self._transport, self._listener
        if transport.is_closing():
            self._is_busy = False
            return
        if self._fast_body:
            self._count(-self._fast_body)
            self._fast_body = 0
        if (
            self._queue
            or self._unparsed
            or self._is_reading_paused
            or self._has_eof
            or self._expects_continue
            or listener.is_draining
            or len(answer.body) > COPIED
        ):
            self._write(answer, answer.body)
        else:  # nearly always
            self._since = listener.now
            transport.write(b"%b%b\r\n%b" % (answer.header_section(), listener.date, answer.body))
            if self._drained is None:
                self._is_busy = False
                return
        self._is_busy = True
        self._wake()

    def resume(self, rest: Awaitable[Answer]) -> None:
        """Answer the request on the fast path with what `rest` returns."""
        self._is_busy = True
        self._rest = rest
        self._wake()

    def _take(self, item: Call | Answer) -> None:
        self._queue.append(item)
        if not self._is_busy:
            self._is_busy = True
            self._wake()
            return
        self._queued += QUEUED
        self._count(QUEUED)
        if not self._is_reading_paused:
            self._is_reading_paused = True
            self._transport.pause_reading()

    def _wake(self) -> None:
        """Wake the task that answers; make it if there is none."""
        if self._answering is None:
            self._answering = self._loop.create_task(self._answer_all())
        elif self._more is not None:
            self._more.set_result(None)
            self._more = None

    async def _answer_all(self) -> None:
        """Answer requests, one after another, until the connection is closed."""
        transport, queue, listener, create_future = (
            self._transport,
            self._queue,
            self._listener,
            self._loop.create_future,
        )
        item: Call | Answer | None = None
        try:
            while True:
                if self._drained is not None:
                    await self._drained.wait()
                rest, self._rest = self._rest, None
                if rest is None:
                    if not queue and self._unparsed:
                        self._parse_on()
                    if not queue:
                        if self._is_reading_paused or self._has_eof or self._expects_continue or listener.is_draining:
                            self._go_on()
                        if transport.is_closing():
                            break
                        self._is_busy = False
                        self._more = more = create_future()
                        await more
                        continue
                    item = queue.popleft()
                    if self._queued:
                        self._queued -= QUEUED
                        self._count(-QUEUED)
                try:
                    if rest is not None:
                        item = None
                        answer = await rest
                    elif isinstance(item, Call):
                        answer = await listener.answer(item)
                    elif item is not None:
                        answer = item
                except BaseException:  # a defect, which the loop reports
                    if not transport.is_closing():
                        self._end(item, DEFECT)
                    raise
                if isinstance(answer, EndlessAnswer) and isinstance(item, Call):
                    await self._send_endless(item, answer)
                    continue
                if transport.is_closing():
                    break
                if isinstance(answer, StreamedAnswer):
                    await self._send_parts(item, answer)
                else:
                    self._end(item, answer)
                if self._drained is None and (queue or self._unparsed):
                    await asyncio.sleep(0)  # other connections get their turn
        finally:
            self._answering = self._more = None
            self._is_busy = False
            transport.close()

    def _end(self, item: Call | Answer | None, answer: Answer) -> None:
        """Answer a request in the task. `item` is None if it was begun on the fast path."""
        is_last, body = answer.closes, answer.body
        if item is None:
            self._is_begun = False
            self._count(-self._fast_body)
            self._fast_body = 0
        elif isinstance(item, Call):
            is_last = is_last or not item.keep_alive
            if item.body:
                self._count(-len(item.body))
            elif isinstance(item, StreamedCall):
                item.incoming.discard()
            if item.method == b"HEAD":
                body = b""
        self._write(answer, body, is_last)

    def _write(self, answer: Answer, body: bytes, is_last: bool = False) -> None:
        """Write an answer. After the last one nothing more is read."""
        listener, transport = self._listener, self._transport
        self._since = listener.now
        if (listener.is_draining or self._has_eof) and not self._queue and not self._unparsed:
            is_last = True
        closing = b"connection: close\r\n" if is_last else b""
        if len(body) <= COPIED:
            transport.write(b"%b%b%b\r\n%b" % (answer.header_section(), listener.date, closing, body))
        else:
            transport.write(b"%b%b%b\r\n" % (answer.header_section(), listener.date, closing))
            self._whole = len(body)
            transport.write(body)
            if self._drained is None:
                self._whole = 0
        if is_last:
            self._end_connection()

    async def _send_parts(self, item: Call | Answer | None, answer: StreamedAnswer) -> None:
        """Send an answer whose body is made while it is sent, as fast as the client reads it."""
        listener, transport = self._listener, self._transport
        call = item if isinstance(item, Call) else None
        self._is_begun = False
        is_last = (call is not None and not call.keep_alive) or listener.is_draining or self._has_eof
        closing = b"connection: close\r\n" if is_last else b""
        async with aclosing(answer.parts) as parts:
            self._since = listener.now
            transport.write(b"%b%b%b\r\n" % (answer.header_section(), listener.date, closing))
            if call is None or call.method != b"HEAD":
                await self._send_each(parts)
        if is_last and not transport.is_closing():
            self._end_connection()

    async def _send_endless(self, call: Call, answer: EndlessAnswer) -> None:
        """Send an answer without an end, and nothing after it: what the client sends from now on is not carried out
        (RFC 9112, 9.6).
        """
        from .endless import EndlessBody  # most sidecars send none

        transport, listener = self._transport, self._listener
        self._count(-len(call.body))
        self._drop_waiting()
        self._drop_unfinished(400, "the answer before has no end")
        if transport.is_closing() or self._has_eof:
            await answer.parts.aclose()
            transport.close()
            return
        self.read_on()  # otherwise the client's end would not be seen
        framing = b"transfer-encoding: chunked\r\n" if call.keep_alive else b""  # HTTP/1.0 does not know it
        transport.write(b"%b%b%bconnection: close\r\n\r\n" % (answer.header_section(), listener.date, framing))
        body = EndlessBody(answer.parts, transport, is_chunked=call.keep_alive, spare=self._max_part)
        self._endless = body
        if listener.is_draining:
            self.drain()
        try:
            await body.send(lambda: self._drained)
        finally:
            self._endless = None
        self._since = listener.now
        self._end_connection()

    def drain(self) -> None:
        if self._endless is None:
            super().drain()
            return
        self._endless.end()
        self._loop.call_later(self._limits.lingering, self._transport.abort)  # if the client does not take the end

    def _end_connection(self) -> None:
        """Receive no more requests, and close the connection when the last answer is sent."""
        listener, transport = self._listener, self._transport
        self._drop_waiting()
        self._discard_rest()
        if listener.is_draining:  # data that arrives after a close would reset what the client has not read yet
            self._is_lingering = True
        if self._is_lingering:
            with suppress(OSError):  # asyncio's own loop raises where the client has reset the connection
                transport.write_eof()
        else:
            transport.close()

    def _go_on(self) -> None:
        """Read the next request, or close the connection if there will be none."""
        if self._transport.is_closing():
            return
        if self._is_reading_paused:
            self._is_reading_paused = False
            self._transport.resume_reading()
        if self._has_eof:
            self._transport.close()
        elif self._listener.is_draining:
            self.drain()
        elif self._expects_continue and self._in_message:
            self._continue()

    def _awaits_continue(self) -> None:
        if not self._is_busy:
            self._continue()

    def _continue(self) -> None:
        self._expects_continue = False
        if not self._is_lingering:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
