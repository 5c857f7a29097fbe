"""The input of one connection: bytes of HTTP/1.1 become requests, parsed by httptools, within limits."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

import httptools

from ..state.errors import OverloadedError
from .encoding import refusal, retry_after
from .limits import FIELD, HEADERS
from .messages import Answer, Call
from .request_rules import MAX_DIGITS, SINGULAR, has_body, measured, origin_form, protocol_of, without_offer

if TYPE_CHECKING:
    from ..serving import Listener
    from .incoming import IncomingBody
    from .limits import Limits

REFUSALS: Final = {
    400: "ERR_MALFORMED_REQUEST",
    408: "ERR_REQUEST_TIMEOUT",
    413: "ERR_BODY_TOO_LARGE",
    431: "ERR_HEADERS_TOO_LARGE",
    503: OverloadedError.code,
}
_END_OF_HEADER: Final = b"\r\n\r\n"


class Receiver(asyncio.Protocol):
    """The incoming half of a connection. `listener` is what all connections of its port share. It has slots, because
    without them Python finds attributes more slowly in objects with more than 30.
    """

    __slots__ = (
        "_body",
        "_body_size",
        "_chunk",
        "_doubled",
        "_expects_continue",
        "_header_held",
        "_header_size",
        "_headers",
        "_held",
        "_in_header",
        "_in_message",
        "_is_lingering",
        "_is_reading_paused",
        "_is_torn",
        "_limits",
        "_listener",
        "_max_part",
        "_offers_with_body",
        "_parser",
        "_queue",
        "_queued",
        "_saved_headers",
        "_since",
        "_transport",
        "_unparsed",
        "_unparsed_at",
        "_unparsed_held",
        "_url",
    )

    def __init__(self, listener: Listener, limits: Limits):
        self._limits = limits
        self._listener = listener
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set by connection_made
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[Call | Answer] = deque()
        """Requests that wait for their answers, and refusals that wait for their turn."""
        self._since = listener.now
        """When the current state began: idle, receiving a request, or waiting for the client to take its answer."""
        self._held = 0
        """Bytes of requests that are arriving, waiting or being answered."""
        self._max_part = limits.header_section
        """Maximum of bytes that are parsed in one piece if it is not known what they are."""
        self._unparsed = b""
        """Bytes received after requests that are not answered yet; they begin at `_unparsed_at`."""
        self._unparsed_at = self._unparsed_held = 0
        """`_unparsed_held`: bytes that are counted for `_unparsed`."""
        self._queued = 0
        """Bytes that are counted for requests that wait."""
        self._header_held = 0
        """Bytes that are counted for an unfinished request, without its body."""
        self._is_reading_paused = self._is_lingering = False
        self._in_message = self._in_header = self._is_torn = False
        self._chunk: bytes | memoryview = b""
        """What is being parsed."""
        self._doubled = b""
        """A header that came twice, which is not allowed."""
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: bytes | bytearray | IncomingBody = b""
        self._header_size = 0
        """Bytes of an incomplete header or trailer section in earlier reads; 0: it began in the current one."""
        self._body_size = 0
        """Bytes of an incomplete body at the end of the last chunk."""
        self._saved_headers = self._headers
        """The request's headers while trailers are read."""
        self._expects_continue = False
        self._offers_with_body = False
        """The request offers another protocol and has a body, which llhttp takes for data of that protocol."""

    # --- for subclasses -------------------------------------------------------------------------------------------

    def _take(self, item: Call | Answer) -> None:
        """Queue a complete request or a refusal."""
        raise NotImplementedError

    def _stream(self, size: int | None) -> bool:
        """Hand the body on while it arrives, if its call takes that; return whether. `size`: its bytes, if known."""
        raise NotImplementedError

    def _give_up_stream(self, status: int, message: str) -> None:
        """Receive no more of a body that is handed on while it arrives; whoever reads it gets an error."""
        raise NotImplementedError

    def _awaits_continue(self) -> None:
        """React to a client that waits for 100 Continue before it sends the body (`_expects_continue`)."""
        raise NotImplementedError

    # --- called by the transport ----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if not self._in_message and not self._is_torn:
            self._since = self._listener.now
            self._is_torn = True
        if len(data) <= self._max_part and not self._unparsed:
            self._parse(data)
            if self._in_message:
                self._check_growth(len(data))
        elif not self._is_lingering:
            self._unparsed = self._unparsed[self._unparsed_at :] + data if self._unparsed else data
            self._unparsed_at = 0
            self._parse_on()

    def _parse_on(self) -> None:
        """Parse the received bytes, part by part, until a request has to be answered first."""
        while self._unparsed and not self._queue and not self._is_lingering:
            is_new = not self._in_message
            at = self._unparsed_at
            part = memoryview(self._unparsed)[at : at + self._size_of_part()]
            self._unparsed_at += len(part)
            if self._unparsed_at == len(self._unparsed):
                self._unparsed, self._unparsed_at = b"", 0
            self._parse(part)
            if self._in_message and not (
                is_new and self._unparsed and not self._in_header
            ):  # otherwise its body is next
                self._check_growth(len(part))
        self._count_unparsed()
        if self._unparsed and not self._is_reading_paused and not self._is_lingering:
            self._is_reading_paused = True
            self._transport.pause_reading()

    def _size_of_part(self) -> int:
        """Return how many bytes to parse next: the rest of a body, one header section, or at most `_max_part`."""
        maximum = self._max_part
        if self._in_message:
            if not self._in_header:  # chunked bodies have no known size
                missing = int(self._headers.get(b"content-length", b"0")) - len(self._body)
                return max(missing, maximum)
        else:
            at = self._unparsed_at
            end = self._unparsed.find(_END_OF_HEADER, at, at + maximum)
            if end > at:
                return end + len(_END_OF_HEADER) - at
        return maximum

    def _count_unparsed(self) -> None:
        size = len(self._unparsed) - self._unparsed_at
        if size != self._unparsed_held:
            more, self._unparsed_held = size - self._unparsed_held, size
            self._count(more)

    def _let_go(self) -> None:
        """Drop what was received, and the parser: it and this connection hold each other, and the garbage collector
        comes late.
        """
        self._body = self._chunk = b""
        self._parser = httptools.HttpRequestParser(None)

    def _forget_unparsed(self) -> None:
        self._unparsed, self._unparsed_at = b"", 0
        self._count_unparsed()

    def _count(self, size: int) -> None:
        """Count bytes of requests that we hold, or no longer hold."""
        self._held += size
        budget = self._listener.budget
        budget.held += size
        if size > 0 and budget.held > budget.limit:
            budget.relieve()

    def _drop_waiting(self) -> None:
        """Drop the requests after the current one."""
        bodies = sum(len(item.body) for item in self._queue if isinstance(item, Call))
        self._count(-self._queued - bodies)
        self._queue.clear()
        self._queued = 0
        self._forget_unparsed()

    def _drop_unfinished(self, status: int, message: str) -> None:
        """Drop what has arrived of a request that is not complete; whoever reads its body already gets an error."""
        self._in_message = self._in_header = False
        self._give_up_stream(status, message)
        self._count(-len(self._body) - self._header_held)
        self._body, self._header_held, self._url, self._headers = b"", 0, b"", {}
        self._forget_unparsed()

    def _parse(self, data: bytes | memoryview) -> None:
        self._chunk = data
        rest: bytes | memoryview = data
        while rest and not self._is_lingering:
            try:
                self._parser.feed_data(rest)
                break
            except httptools.HttpParserUpgrade as offer:
                # An offer (Java's client offers HTTP/2 on each first request) is declined by continuing in HTTP/1.1
                # (RFC 9110, 7.8). llhttp would read nothing after it.
                rest = memoryview(rest)[offer.args[0] :]
                if self._offers_with_body:
                    self._offers_with_body = False
                    rest = without_offer(self._parser, self._url, self._headers) + rest
                self._parser = httptools.HttpRequestParser(self)
            except httptools.HttpParserError as error:
                self._refuse(400, f"this is no HTTP/1.1 request: {error}")
        self._chunk = b""
        if self._is_lingering:  # what the parser holds of a header is dropped
            self._parser = httptools.HttpRequestParser(self)

    # --- called by httptools --------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._in_message = self._in_header = True
        self._url = b""
        self._headers = {}
        self._header_size = 0
        self._expects_continue = False
        self._doubled = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        headers, name = self._headers, name.lower()
        if name in headers and name in SINGULAR:
            self._doubled = name
        headers[name] = value

    def on_headers_complete(self) -> None:
        self._in_header = False
        headers = self._headers
        if self._header_size:  # it came in several parts, and each was within the limit
            self._check_header(measured(self._url, headers))
        if len(headers) > HEADERS:
            self._refuse(431, f"the request has over {HEADERS} headers; send fewer")
        if b"host" not in headers or self._doubled:
            self._check_singular()
        if b"content-length" in headers and (
            len(headers[b"content-length"]) > MAX_DIGITS or int(headers[b"content-length"]) > self._limits.body
        ):
            self._refuse_length(headers[b"content-length"])
        elif b"upgrade" in headers and self._parser.should_upgrade() and has_body(headers):
            self._offers_with_body = True
        elif b"expect" in headers and headers[b"expect"].lower() == b"100-continue":
            self._expects_continue = self._parser.get_http_version() == "1.1"
            if self._expects_continue:
                self._awaits_continue()

    def on_chunk_header(self) -> None:
        if (
            self._headers.get(b"transfer-encoding", b"").lower() != b"chunked"
            or self._parser.get_http_version() != "1.1"
        ):
            self._refuse(400, "the only transfer-encoding is chunked, in HTTP/1.1; send the body as it is")
        self._saved_headers, self._headers = self._headers, {}  # trailers are no headers (RFC 9110, 6.5.1)

    def on_chunk_complete(self) -> None:
        self._headers = self._saved_headers

    def on_body(self, body: bytes) -> None:
        if self._is_lingering:
            return
        if self._body:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            elif not isinstance(self._body, bytearray):
                self._body.feed(body)
                return
            self._body += body
        else:
            self._body = body
        self._held += len(body)
        budget = self._listener.budget
        budget.held += len(body)
        if len(self._body) > self._limits.body:
            if not self._stream(None):
                self._refuse_body()
        elif budget.held > budget.limit:
            budget.relieve()

    def on_message_complete(self) -> None:
        self._in_message = self._is_torn = False
        if self._header_held:
            self._count(-self._header_held)
            self._header_held = 0
        if self._is_lingering or self._offers_with_body:
            return
        parser = self._parser
        keep_alive = parser.should_keep_alive()
        if type(self._body) is not bytes and (incoming := self.incoming) is not None:
            self._body = b""
            incoming.finish(keep_alive=keep_alive)
            return
        if (
            not keep_alive or b"connection" in self._headers
        ):  # otherwise it is HTTP/1.1 (RFC 9112, 9.3), and this call would only cost time
            version = parser.get_http_version()
            protocol = "HTTP"
            if version == "1.0":
                protocol = protocol_of(parser, self._url, self._chunk[: self._limits.header_section])
            if protocol != "HTTP" or (version != "1.1" and version != "1.0"):
                self._refuse(400, f"this port speaks HTTP/1.1, not {protocol}/{version}")
                return
            keep_alive = keep_alive and version == "1.1"
        body, self._body = bytes(self._body), b""  # type: ignore[arg-type]  # it is no IncomingBody here
        if not self._url.startswith(b"/"):
            self._url = origin_form(self._url, self._headers)
        path, _, query = self._url.partition(b"?")
        method = parser.get_method()
        if method == b"CONNECT":  # any further bytes would belong to the tunnel (RFC 9110, 9.3.6)
            keep_alive = False
        self._take(Call(method, path, query, self._headers, body, keep_alive))

    # --- what is refused ------------------------------------------------------------------------------------------

    def _check_growth(self, size: int) -> None:
        """Bound the header and trailer section of an unfinished request, which are held in addition to its body."""
        if self._header_size == 0:  # the chunk may begin with the end of another request
            self._header_size = 1 + measured(self._url, self._headers)
        elif self._in_header or len(self._body) == self._body_size:
            self._header_size += size
        else:
            self._header_size = 1
        self._body_size = len(self._body)
        held = self._header_size + (size if self._in_header else 0) + FIELD * len(self._headers)
        more, self._header_held = held - self._header_held, held
        self._count(more)
        self._check_header(self._header_size)

    def _check_header(self, size: int) -> None:
        if size > self._limits.header_section:
            limit = self._limits.header_section
            self._refuse(
                431, f"request line and headers are over {limit} bytes; shorten them or raise --read-buffer-size"
            )

    def _check_singular(self) -> None:
        """Refuse a request that proxies might route or frame differently than we do (RFC 9112, 3.2 and 6.1)."""
        if self._doubled:
            self._refuse(400, f"the request has more than one {self._doubled.decode()} header; send one")
        elif self._parser.get_http_version() != "1.0":
            self._refuse(400, "the request has no host header, which HTTP/1.1 asks for; send one")

    @property
    def incoming(self) -> IncomingBody | None:
        """The body that is handed on while it arrives; None: there is none such."""
        return None if isinstance(self._body, bytes | bytearray) else self._body

    def _refuse_length(self, length: bytes) -> None:
        if len(length) > MAX_DIGITS:  # leading zeros: llhttp takes no larger number, and int() at most 4,300 digits
            digits = len(length)
            self._refuse(400, f"the content-length has {digits:,} digits; write the number without zeros before it")
        elif b"upgrade" in self._headers or not self._stream(int(length)):
            self._refuse_body()

    def _refuse_body(self) -> None:
        limit = self._limits.body
        self._refuse(413, f"the body is over {limit} bytes; send less or raise --max-body-size")

    def _refuse(self, status: int, message: str) -> None:
        """Queue the refusal and close after it; what is still received is discarded."""
        if self._is_lingering:
            return
        self._is_lingering = self._is_torn = True
        is_called = self.incoming is not None  # then the call's own answer reports it
        self._drop_unfinished(status, message)
        self._since = self._listener.now
        if is_called:
            return
        answer = refusal(status, REFUSALS[status], message)
        if status == OverloadedError.http_status:
            answer.headers = retry_after(OverloadedError)
        answer.closes = True
        self._take(answer)
