"""One connection of a client: HTTP/1.1 on an asyncio transport, parsed by httptools, answered without a framework.

A request is received whole, answered, and only then the next one of the connection is begun, so answers keep their
order (RFC 9112, 9.3.2). What a client can make us hold is bounded: heads, bodies, bodies of all connections together,
pipelined requests (reading pauses), and the time all of it may take (`Lane.sweep`).
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

import httptools

from ..serving import Connections, time_to_take
from .encoding import refusal
from .messages import Answer, Call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

MIB: Final = 1024 * 1024
HEADERS: Final = 256
"""Fields of one request: each costs a hundred bytes and more beside its text."""
FIELD: Final = 100
QUEUED: Final = 512
"""Bytes that a request without a body takes while it waits for those before it."""
BUFFERED: Final = 16 * 1024
"""Bytes of an answer that a client need not have taken before the next one is made."""
COPIED: Final = 64 * 1024
"""Bytes of a body that are copied behind the answer's head, so that both are one write."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, and all of them together, may make the sidecar hold. Times are in seconds, sizes in bytes."""

    body: int = 4 * MIB
    head: int = 16 * 1024
    """Request line and headers. Dapr's 4 KiB cannot take a key of the length that stores can hold."""
    connections: int = 4096
    receiving: float = 30.0
    """From the first byte of a request to its last."""
    idle: float = 180.0
    """A connection without a request. Longer than the pools of common clients keep one, so that they close first."""
    stalled: float = 30.0
    """A client that takes nothing of its answer, or too little of it (`time_to_take`)."""
    lingering: float = 2.0
    """After a refusal, what the client still sends is thrown away for so long, else it would not see the refusal."""
    unused: float = 0.5
    """At the end of the sidecar, for a connection without a request to get another one."""


@dataclass(slots=True, eq=False)
class Lanes(Connections["Lane"]):
    """What all connections of a listener share."""

    answer: Callable[[Call], Awaitable[Answer]]
    limits: Limits = field(default_factory=Limits)
    date: bytes = field(default=b"", init=False)
    """The `date` header as a whole line, set with the clock."""

    def tick(self, now: float) -> None:
        Connections.tick(self, now)
        self.date = b"date: " + formatdate(usegmt=True).encode() + b"\r\n"


class Lane(asyncio.Protocol):
    """One connection."""

    def __init__(self, lanes: Lanes):
        self._lanes = lanes
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set by connection_made
        self._queue: deque[Call | Answer] = deque()
        self._answering: asyncio.Task[None] | None = None
        self._arrival = 0
        self._more: asyncio.Future[None] | None = self._loop.create_future()
        """What the answering task waits for; None: it is at work."""
        self._since = lanes.now
        """When the current state began: idle, receiving a request, or waiting for the client to take its answer."""
        self._drained: asyncio.Event | None = None
        self._held = 0
        """Bytes of requests, arriving, waiting or being answered."""
        self._unread = 0
        """Bytes of answers that the client has not taken."""
        self._taking: tuple[float, int] = (lanes.now, 0)
        """Since when the client takes the current answer, and how many bytes it had to take then."""
        self._unparsed = memoryview(b"")
        """What has come in behind requests that wait for their answers."""
        self._queued = 0
        """Bytes that are counted for requests that wait."""
        self._head_held = 0
        """Bytes that are counted for an unfinished request beside its body."""
        self._is_given_up = False
        """Nothing behind the current request is answered."""
        self._is_reading_paused = self._is_lingering = self._has_eof = False
        self._in_message = self._at_head = self._is_torn = False
        self._chunk_size = 0
        self._doubled = b""
        """A header that came twice and may not."""
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: bytes | bytearray = b""
        self._head_size = 0
        """Bytes of an incomplete head or trailer, from chunks before the current one; 0: begun in this chunk."""
        self._body_size = 0
        """Bytes of an incomplete body at the end of the last chunk."""
        self._heads_of_body = self._headers
        """The headers, while trailers are read."""
        self._expects_continue = False
        self._offers_with_body = False
        """The request offers another protocol and has a body, which llhttp takes for that other protocol."""

    # --- the transport speaks -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports do not derive from asyncio's
        self._transport.set_write_buffer_limits(BUFFERED)
        lanes = self._lanes
        has_room = lanes.find_room(lanes.limits.connections)
        self._arrival = lanes.budget.arrivals
        lanes.open.add(self)
        # One task for the life of the connection: a task for each request would cost a tenth of a call.
        self._answering = self._loop.create_task(self._answer_all())
        if not has_room:
            self._refuse(503, f"{len(lanes.open) - 1} connections are open and at work; use fewer")

    def connection_lost(self, exc: Exception | None) -> None:
        lanes = self._lanes
        self._drop_waiting()
        lanes.budget.held -= self._held + self._unread
        self._held = self._unread = self._head_held = 0
        self._wake()
        if self._drained is not None:
            self._drained.set()
        lanes.lost(self)

    def eof_received(self) -> bool:
        """Keep a half-closed connection until its requests are answered: `nc -N` and others close their side early."""
        self._has_eof = True
        return self._is_busy

    def pause_writing(self) -> None:
        self._drained = asyncio.Event()
        self._since = self._lanes.now
        unread = self._transport.get_write_buffer_size()
        self._taking = self._since, unread
        self._count_unread(unread)

    def resume_writing(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None
            self._since = self._lanes.now
        self._count_unread(0)

    def _count_unread(self, size: int) -> None:
        """Count what the client has not taken among the bytes that all clients make us hold."""
        more, self._unread = size - self._unread, size
        budget = self._lanes.budget
        budget.held += more
        if more > 0 and budget.held > budget.limit:
            budget.relieve()

    def _count(self, size: int) -> None:
        """Count what we hold of requests, or no longer do."""
        self._held += size
        budget = self._lanes.budget
        budget.held += size
        if size > 0 and budget.held > budget.limit:
            budget.relieve()

    def data_received(self, data: bytes) -> None:
        if not self._in_message and not self._is_torn:
            self._since = self._lanes.now
            self._is_torn = True
        if len(data) <= self._lanes.limits.head and not self._unparsed:
            self._feed(data)
            return
        if self._is_lingering:
            return
        self._unparsed = memoryview(bytes(self._unparsed) + data if self._unparsed else data)
        self._count(len(data))
        self._parse_on()

    def _parse_on(self) -> None:
        """Read on in what has come in, a part at a time, and not beyond a request that is not answered yet."""
        while self._unparsed and not self._queue and not self._is_lingering:
            size = max(self._lanes.limits.head, self._missing_of_body())
            part, self._unparsed = self._unparsed[:size], self._unparsed[size:]
            self._count(-len(part))
            self._feed(part)
        if self._unparsed and not self._is_reading_paused and not self._is_lingering:
            self._is_reading_paused = True
            self._transport.pause_reading()

    def _missing_of_body(self) -> int:
        """Return how many bytes the body of the current request still has, as far as its head tells."""
        if not self._in_message or self._at_head:
            return 0
        return int(self._headers.get(b"content-length", b"0")) - len(self._body)

    def _drop_waiting(self) -> None:
        """Forget what is behind the current request."""
        bodies = sum(len(item.body) for item in self._queue if isinstance(item, Call))
        self._count(-self._queued - len(self._unparsed) - bodies)
        self._queue.clear()
        self._queued = 0
        self._unparsed = memoryview(b"")

    def _feed(self, data: bytes | memoryview) -> None:
        self._chunk_size = len(data)
        rest: bytes | memoryview = data
        while rest and not self._is_lingering:
            try:
                self._parser.feed_data(rest)
                break
            except httptools.HttpParserUpgrade as offer:
                # An offer (Java's client makes one for HTTP/2 on each first request) that is declined by going on
                # in HTTP/1.1 (RFC 9110, 7.8). llhttp would read nothing after it.
                rest = memoryview(rest)[offer.args[0] :]
                if self._offers_with_body:
                    rest = self._head_without_offer() + rest
                self._parser = httptools.HttpRequestParser(self)
            except httptools.HttpParserError as error:
                self._refuse(400, f"this is no HTTP/1.1 request: {error}")
        if self._in_message:
            self._check_growth(len(data))
        if self._is_lingering:  # what the parser holds of a header is not wanted
            self._parser = httptools.HttpRequestParser(self)

    # --- httptools speaks -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._in_message = self._at_head = True
        self._url = b""
        self._headers = {}
        self._head_size = 0
        self._expects_continue = False
        self._doubled = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in self._headers and name in SINGULAR:
            self._doubled = name
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        self._at_head = False
        headers = self._headers
        if self._head_size:  # it came in several parts, none of which is larger than a head may be
            self._check_head(self._measure_head())
        if len(headers) > HEADERS:
            self._refuse(431, f"the request has over {HEADERS} headers; send fewer")
        if b"host" not in headers or self._doubled:
            self._check_singular()
        if b"content-length" in headers and int(headers[b"content-length"]) > self._lanes.limits.body:
            self._refuse_body()
        elif b"upgrade" in headers and self._parser.should_upgrade() and _has_body(headers):
            self._offers_with_body = True
        elif b"expect" in headers and headers[b"expect"].lower() == b"100-continue":
            self._expects_continue = self._parser.get_http_version() == "1.1"
            if self._expects_continue and not self._is_busy:
                self._continue()

    def on_chunk_header(self) -> None:
        if (
            self._headers.get(b"transfer-encoding", b"").lower() != b"chunked"
            or self._parser.get_http_version() != "1.1"
        ):
            self._refuse(400, "the only transfer-encoding is chunked, in HTTP/1.1; send the body as it is")
        self._heads_of_body, self._headers = self._headers, {}  # trailers are no headers (RFC 9110, 6.5.1)

    def on_chunk_complete(self) -> None:
        self._headers = self._heads_of_body

    def on_body(self, body: bytes) -> None:
        if self._is_lingering:
            return
        lanes = self._lanes
        if self._body:
            self._body = bytearray(self._body) if isinstance(self._body, bytes) else self._body
            self._body += body
        else:
            self._body = body
        self._held += len(body)
        budget = lanes.budget
        budget.held += len(body)
        if len(self._body) > lanes.limits.body:
            self._refuse_body()
        elif budget.held > budget.limit:
            budget.relieve()

    def on_message_complete(self) -> None:
        self._in_message = self._is_torn = False
        if self._head_held:
            self._count(-self._head_held)
            self._head_held = 0
        if self._is_lingering or self._offers_with_body:
            return
        parser = self._parser
        version = parser.get_http_version()
        if version != "1.1" and version != "1.0":
            self._refuse(400, f"this port speaks HTTP/1.1, not HTTP/{version}")
            return
        keep_alive = version == "1.1" and parser.should_keep_alive()
        body, self._body = bytes(self._body), b""
        if not self._url.startswith(b"/"):
            self._read_absolute_form()
        path, _, query = self._url.partition(b"?")
        self._take(Call(parser.get_method(), path, query, self._headers, body, keep_alive))

    def _read_absolute_form(self) -> None:
        """Take path and host from a target that a client that thinks us a proxy sends with both (RFC 9112, 3.2.2)."""
        after_scheme = self._url.partition(b"://")[2]
        if after_scheme:
            authority = _AUTHORITY_ENDS.split(after_scheme, 1)[0]
            self._headers[b"host"] = authority
            rest = after_scheme[len(authority) :].partition(b"#")[0]
            self._url = rest if rest.startswith(b"/") else b"/" + rest

    def _head_without_offer(self) -> bytes:
        """Return the head of the current request as its client would have sent it without the offer."""
        self._offers_with_body = False
        headers = {name: value for name, value in self._headers.items() if name not in OF_AN_OFFER}
        if not self._parser.should_keep_alive():
            headers[b"connection"] = b"close"
        version = self._parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self._parser.get_method(), self._url, version)]
        lines += [b"%b: %b" % header for header in headers.items()]
        return b"\r\n".join([*lines, b"", b""])

    # --- requests and answers -------------------------------------------------------------------------------------

    @property
    def _is_busy(self) -> bool:
        return self._more is None

    def _take(self, item: Call | Answer) -> None:
        if self._is_busy:
            self._queued += QUEUED
            self._count(QUEUED)
            if not self._is_reading_paused:
                self._is_reading_paused = True
                self._transport.pause_reading()
        self._queue.append(item)
        self._wake()

    def _wake(self) -> None:
        if self._more is not None:
            self._more.set_result(None)
            self._more = None

    async def _answer_all(self) -> None:
        """Answer requests, one after another, until the connection is closed."""
        transport, queue = self._transport, self._queue
        try:
            while True:
                if not queue and self._unparsed:
                    self._parse_on()
                if not queue:
                    self._go_on()
                    if transport.is_closing():
                        break
                    self._more = self._loop.create_future()
                    await self._more
                    continue
                item = queue.popleft()
                if self._queued:
                    self._queued -= QUEUED
                    self._count(-QUEUED)
                try:
                    answer = item if isinstance(item, Answer) else await self._lanes.answer(item)
                except BaseException:  # a defect, which the loop reports
                    if not transport.is_closing():
                        self._write(item, DEFECT)
                    raise
                if transport.is_closing():
                    break
                self._write(item, answer)
                if self._drained is not None:
                    await self._drained.wait()
                elif queue or self._unparsed:
                    await asyncio.sleep(0)  # the others' turn
        finally:
            self._more = None
            transport.close()

    def _write(self, item: Call | Answer, answer: Answer) -> None:
        lanes = self._lanes
        is_last = answer.closes
        body = answer.body
        if isinstance(item, Call):
            is_last = is_last or not item.keep_alive or self._is_given_up
            is_ending = lanes.is_draining or self._has_eof
            is_last = is_last or (is_ending and not self._queue and not self._unparsed)
            if item.body:
                self._held -= len(item.body)
                lanes.budget.held -= len(item.body)
            if item.method == b"HEAD":
                body = b""
        closing = b"connection: close\r\n" if is_last else b""
        if len(body) <= COPIED:
            self._transport.write(b"%b%b%b\r\n%b" % (answer.head(), lanes.date, closing, body))
        else:
            self._transport.write(b"%b%b%b\r\n" % (answer.head(), lanes.date, closing))
            self._transport.write(body)
        self._since = lanes.now
        if is_last:
            self._drop_waiting()
            if lanes.is_draining:  # what the client has under way must not reset what is under way to it
                self._is_lingering = True
            if self._is_lingering:
                with suppress(OSError):  # asyncio's own loop raises where the client has reset the connection
                    self._transport.write_eof()
            else:
                self._transport.close()

    def _go_on(self) -> None:
        if self._transport.is_closing():
            return
        if self._is_reading_paused:
            self._is_reading_paused = False
            self._transport.resume_reading()
        if self._has_eof:
            self._transport.close()
        elif self._lanes.is_draining:
            self.drain()
        elif self._expects_continue and self._in_message:
            self._continue()

    def _continue(self) -> None:
        self._expects_continue = False
        if not self._is_lingering:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # --- what is refused ------------------------------------------------------------------------------------------

    def _check_growth(self, size: int) -> None:
        """Bound what an unfinished request makes us hold beside its body: its head, and its trailers."""
        if self._head_size == 0:  # the chunk may begin with the end of another request
            self._head_size = 1 + self._measure_head()
        elif self._at_head or len(self._body) == self._body_size:
            self._head_size += size
        else:
            self._head_size = 1
        self._body_size = len(self._body)
        held = self._head_size + (self._chunk_size if self._at_head else 0) + FIELD * len(self._headers)
        more, self._head_held = held - self._head_held, held
        self._count(more)
        self._check_head(self._head_size)

    def _measure_head(self) -> int:
        headers = self._headers
        return len(self._url) + sum(map(len, headers)) + sum(map(len, headers.values())) + 4 * len(headers)

    def _check_head(self, size: int) -> None:
        if size > self._lanes.limits.head:
            limit = self._lanes.limits.head
            self._refuse(
                431, f"request line and headers are over {limit} bytes; shorten them or raise --read-buffer-size"
            )

    def _check_singular(self) -> None:
        """Who reads such a request otherwise than we do would route or divide it otherwise (RFC 9112, 3.2 and 6.1)."""
        if self._doubled:
            self._refuse(400, f"the request has more than one {self._doubled.decode()} header; send one")
        elif self._parser.get_http_version() != "1.0":
            self._refuse(400, "the request has no host header, which HTTP/1.1 asks for; send one")

    def _refuse_body(self) -> None:
        limit = self._lanes.limits.body
        self._refuse(413, f"the body is over {limit} bytes; send less or raise --max-body-size")

    def _refuse(self, status: int, message: str) -> None:
        """Answer in turn, then close; what still comes in is thrown away."""
        if self._is_lingering:
            return
        self._is_lingering = True
        self._in_message = self._at_head = False
        self._is_torn = True
        self._count(-len(self._body) - self._head_held - len(self._unparsed))
        self._body, self._unparsed, self._head_held = b"", memoryview(b""), 0
        self._url, self._headers = b"", {}
        self._since = self._lanes.now
        answer = refusal(status, REFUSALS[status], message)
        if status == 503:
            answer.headers = ((b"retry-after", b"1"),)
        answer.closes = True
        self._take(answer)

    def sweep(self) -> None:
        """Close the connection if it has been in one state for too long. Called once a second."""
        limits = self._lanes.limits
        waited = self._lanes.now - self._since
        unread, before = self._transport.get_write_buffer_size(), self._unread
        if unread != before:
            self._count_unread(unread)
        if self._drained is not None:
            began, size = self._taking
            if waited > limits.stalled and unread >= before:
                self._transport.abort()
            elif self._lanes.now - began > time_to_take(size, limits.stalled):
                self._transport.abort()
            elif unread < before:
                self._since = self._lanes.now
        elif self._transport.is_closing():
            if waited > limits.stalled:  # it does not take its last answer
                self._transport.abort()
        elif self._is_busy:
            pass  # with a store; what the client sends meanwhile may be waiting in the network
        elif self._is_lingering:
            if waited > limits.lingering:
                self._transport.close()
        elif self._in_message:
            if waited > limits.receiving:
                self._refuse(
                    408, f"the request did not arrive within {limits.receiving:g} s; send it faster or in parts"
                )
        elif waited > (limits.receiving if self._is_torn else limits.idle):  # torn: empty lines and nothing else
            self._transport.close()

    def waits(self) -> tuple[float, int] | None:
        if self._is_busy or self._is_lingering or self._transport.is_closing():
            return None
        return self._since, self._arrival

    def make_way(self) -> None:
        self._transport.close()

    def weight(self, now: float) -> float:
        """Return bytes that wait for the client, times the seconds that they do."""
        if self._is_lingering or self._transport.is_closing():
            return 0.0
        began = self._since if self._drained is None else self._taking[0]
        return (self._waiting_bytes() + self._unread) * (now - began + 0.5)

    def _waiting_bytes(self) -> int:
        """Return the bytes of requests that are not being answered yet."""
        bodies = sum(len(item.body) for item in self._queue if isinstance(item, Call))
        return len(self._body) + self._head_held + len(self._unparsed) + self._queued + bodies

    def give_up(self, excess: int) -> None:
        """Let go of what waits for the client: its unfinished request, those behind the current one, or the answer."""
        if self._unread:
            self._count_unread(0)
            self._transport.abort()
        elif self._in_message or not self._is_busy:
            limit = self._lanes.budget.limit
            self._refuse(503, f"requests of over {limit} bytes are in flight; send fewer large ones at once")
        else:
            self._is_given_up = True
            self._drop_waiting()

    def drain(self) -> None:
        """Close the connection when all that it asked for is answered.

        A client that does not know yet may send another request meanwhile. Its answer then says that it is the last.
        """
        self._loop.call_later(self._lanes.limits.unused, self._close_if_unused)

    def _close_if_unused(self) -> None:
        if not self._is_busy and not self._in_message and not self._is_lingering:
            self._transport.close()

    def abort(self) -> None:
        """Close the connection now."""
        self._transport.abort()


REFUSALS: Final = {
    400: "ERR_MALFORMED_REQUEST",
    408: "ERR_REQUEST_TIMEOUT",
    413: "ERR_BODY_TOO_LARGE",
    431: "ERR_HEADERS_TOO_LARGE",
    503: "ERR_OVERLOADED",
}


SINGULAR: Final = frozenset({b"host", b"transfer-encoding"})
"""Headers that a request has once. llhttp sees to content-length."""
OF_AN_OFFER: Final = frozenset({b"connection", b"upgrade", b"http2-settings"})


def _has_body(headers: dict[bytes, bytes]) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


DEFECT: Final = refusal(500, "ERROR", "a defect of the sidecar; its log tells more")
DEFECT.closes = True

_AUTHORITY_ENDS: Final = re.compile(rb"[/?#\\]")
