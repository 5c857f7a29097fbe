"""A request and its answer: what `HttpConnection` (which knows sockets) and `HttpApi` (which knows the API) share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from urllib import parse

from msgspec import Struct

from ..state.errors import MalformedRequestError
from .limits import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"


class Call(Struct, gc=False):
    """One HTTP request, completely received."""

    method: bytes
    path: bytes
    """As sent, percent-encoding included."""
    query_string: bytes
    headers: dict[bytes, bytes]
    """Headers by their names in lower case; of several with the same name, the last."""
    body: bytes = b""
    keep_alive: bool = True
    """The client will use the connection again."""

    def query(self) -> dict[str, str]:
        """Return the query parameters; of several with the same name, the first (as Dapr does).

        Raises MalformedRequestError.
        """
        if not self.query_string:
            return {}
        if self.query_string.count(b"&") >= PARAMETERS:
            raise MalformedRequestError(f"the query has over {PARAMETERS} parameters", "send fewer")
        text = self.query_string.decode("latin-1")
        return dict(reversed(parse.parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="replace")))


class Answer(Struct, gc=False):
    """One HTTP response, small enough to be written in one piece."""

    status: int
    body: bytes = b""
    content_type: bytes | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Further headers, names in lower case, values without line breaks."""
    closes: bool = False
    """The connection cannot be used after this answer."""

    def header_list(self) -> list[tuple[bytes, bytes]]:
        """Return all headers except those about the connection."""
        headers = list(self.headers)
        if self.content_type is not None:
            headers.insert(0, (b"content-type", self.content_type))
        if self.status not in NO_CONTENT:
            headers.append((b"content-length", b"%d" % len(self.body)))
        return headers

    def header_section(self) -> bytes:
        """Return status line and headers without the blank line; the connection adds `date` and `connection`."""
        headers = self.headers
        if self.content_type is JSON and len(headers) == 1 and self.status not in NO_CONTENT:  # a value, mostly
            return _OF_JSON % (STATUS_LINES[self.status], *headers[0], len(self.body))
        lines = STATUS_LINES[self.status]
        if self.content_type is not None:
            lines += b"content-type: %b\r\n" % self.content_type
        for header in headers:
            lines += b"%b: %b\r\n" % header
        if self.status not in NO_CONTENT:
            lines += b"content-length: %d\r\n" % len(self.body)
        return lines


class Incoming(Protocol):
    """The body of a request while it arrives."""

    size: int | None
    """All its bytes; None: it is not known before the end."""

    async def read(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer, or none, at the end. Raises StateError if the rest does not come."""

    def discard(self) -> None:
        """Drop what has arrived."""


class StreamedCall(Call, kw_only=True):
    """A request whose body is still arriving. `keep_alive` is set when all of it has."""

    incoming: Incoming


class Parts(Protocol):
    """The parts of a body, each made when the one before is sent."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None:
        """Make no more, and free what they are made of; perhaps none was made."""


class StreamedAnswer(Answer, kw_only=True):
    """An answer whose body is made while it is sent."""

    size: int
    """Bytes of the body."""
    parts: Parts

    def header_list(self) -> list[tuple[bytes, bytes]]:
        typed = () if self.content_type is None else ((b"content-type", self.content_type),)
        return [*typed, *self.headers, (b"content-length", b"%d" % self.size)]

    def header_section(self) -> bytes:
        return STATUS_LINES[self.status] + b"".join(b"%b: %b\r\n" % header for header in self.header_list())


class EndlessAnswer(Answer, kw_only=True):
    """An answer whose body goes on until one side ends it: the last one of its connection. Whoever gets it calls
    `aclose` of its parts.
    """

    parts: Parts

    def header_list(self) -> list[tuple[bytes, bytes]]:
        typed = () if self.content_type is None else ((b"content-type", self.content_type),)
        return [*typed, *self.headers]

    def header_section(self) -> bytes:
        return STATUS_LINES[self.status] + b"".join(b"%b: %b\r\n" % header for header in self.header_list())


NO_CONTENT = frozenset({204, 304})
"""Statuses whose answer has neither a body nor a content-length (RFC 9110, 8.6)."""

_OF_JSON = b"%bcontent-type: application/json\r\n%b: %b\r\ncontent-length: %d\r\n"
_STATUSES = """\
200 OK
201 Created
202 Accepted
203 Non-Authoritative Information
204 No Content
205 Reset Content
206 Partial Content
207 Multi-Status
208 Already Reported
226 IM Used
300 Multiple Choices
301 Moved Permanently
302 Found
303 See Other
304 Not Modified
305 Use Proxy
307 Temporary Redirect
308 Permanent Redirect
400 Bad Request
401 Unauthorized
402 Payment Required
403 Forbidden
404 Not Found
405 Method Not Allowed
406 Not Acceptable
407 Proxy Authentication Required
408 Request Timeout
409 Conflict
410 Gone
411 Length Required
412 Precondition Failed
413 Request Entity Too Large
414 Request-URI Too Long
415 Unsupported Media Type
416 Requested Range Not Satisfiable
417 Expectation Failed
418 I'm a Teapot
421 Misdirected Request
422 Unprocessable Entity
423 Locked
424 Failed Dependency
425 Too Early
426 Upgrade Required
428 Precondition Required
429 Too Many Requests
431 Request Header Fields Too Large
451 Unavailable For Legal Reasons
500 Internal Server Error
501 Not Implemented
502 Bad Gateway
503 Service Unavailable
504 Gateway Timeout
505 HTTP Version Not Supported
506 Variant Also Negotiates
507 Insufficient Storage
508 Loop Detected
510 Not Extended
511 Network Authentication Required
"""


class _StatusLines(dict[int, bytes]):
    """The status line of each status. A pluggable component may choose one that has no name (RFC 9112, 4)."""

    def __missing__(self, status: int) -> bytes:
        return b"HTTP/1.1 %d \r\n" % status


STATUS_LINES = _StatusLines({int(line[:3]): b"HTTP/1.1 %b\r\n" % line for line in _STATUSES.encode().splitlines()})
