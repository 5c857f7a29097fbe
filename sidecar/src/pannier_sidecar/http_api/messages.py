"""A request and its answer: what `HttpConnection` (which knows sockets) and `HttpApi` (which knows the API) share."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import parse_qsl

from msgspec import Struct

from ..state.errors import MalformedRequestError
from .limits import PARAMETERS

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
        return dict(reversed(parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="replace")))


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


NO_CONTENT = frozenset({204, 304})
"""Statuses whose answer has neither a body nor a content-length (RFC 9110, 8.6)."""

_OF_JSON = b"%bcontent-type: application/json\r\n%b: %b\r\ncontent-length: %d\r\n"
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
