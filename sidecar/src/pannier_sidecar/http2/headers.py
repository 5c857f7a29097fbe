"""Decodes header blocks (HPACK, RFC 7541) into checked dictionaries (RFC 9113, 8), and encodes the few that we send.

A client's blocks repeat: once their fields are in the dynamic table, all requests for one path have the same bytes. So
decoded blocks are remembered until the table changes.
"""

from __future__ import annotations

import re
from typing import Any, Final

from .frames import ErrorCode, Http2ConnectionError
from .hpack import Decoder, HpackError

REMEMBERED: Final = 256
"""Blocks remembered for each connection."""
REMEMBERED_SIZE: Final = 512
REMEMBERED_FIELDS: Final = 32
"""Larger blocks are decoded each time, because remembered blocks are not counted in the memory budget of clients."""
CONNECTION_SPECIFIC: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
REQUIRED: Final = (b":method", b":scheme", b":path")
PSEUDO: Final = frozenset({b":method", b":scheme", b":path", b":authority"})

SINGULAR: Final = frozenset({b"host", b"content-length"})
"""Fields that a request may have only once: of two, a proxy might use one and we the other."""
_NAME: Final = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]+")
_LINE_BREAKS: Final = re.compile(rb"[\0\r\n]")
"""Not allowed in a value (RFC 9113, 8.2.1). White space around a value is accepted, as in gRPC's own protocol."""

Headers = dict[bytes, bytes]


class RequestHeaders(Headers):
    """The fields of one block."""

    __slots__ = ("note",)

    note: Any
    """What the handler remembers about these fields, for the next request with the same block; None at first."""


class MalformedHeadersError(Exception):
    """Fields that no request may have (RFC 9113, 8.1.1)."""


class HeaderReader:
    """Reads the header blocks of one connection."""

    def __init__(self, max_list_size: int):
        """`max_list_size` is in bytes: those of all names and values, plus 32 for each field (RFC 9113, 6.5.2)."""
        self._decoder = Decoder(max_list_size=max_list_size)
        self._known: dict[bytes, RequestHeaders | str] = {}
        """The fields of each block, or its error."""

    def read(self, block: bytes, *, is_trailer: bool = False) -> RequestHeaders:
        """Return the fields. Raises Http2ConnectionError for bad compression, MalformedHeadersError for bad fields."""
        found = self._known.get(block)
        if found is None:
            found = self._decode(block, is_trailer)
        if isinstance(found, str):
            raise MalformedHeadersError(found)
        return found

    def remembered(self, block: bytes) -> RequestHeaders | None:
        """Return the remembered fields of a request's block; None if it is new, or its fields are malformed."""
        found = self._known.get(block)
        return found if type(found) is RequestHeaders else None

    def _decode(self, block: bytes, is_trailer: bool) -> RequestHeaders | str:
        before = self._decoder.changes
        try:
            fields = self._decoder.decode(block)
        except HpackError as error:
            raise Http2ConnectionError(ErrorCode.COMPRESSION_ERROR, str(error)) from error
        try:
            found: RequestHeaders | str = _checked(fields, is_trailer)
        except MalformedHeadersError as error:
            found = str(error)
        if self._decoder.changes != before:
            self._known.clear()
        elif len(self._known) < REMEMBERED and not is_trailer and _is_small(block, fields):
            self._known[block] = found
        return found


def _is_small(block: bytes, fields: list[tuple[bytes, bytes]]) -> bool:
    return len(block) <= REMEMBERED_SIZE and len(fields) <= REMEMBERED_FIELDS


def _checked(fields: list[tuple[bytes, bytes]], is_trailer: bool) -> RequestHeaders:
    headers = RequestHeaders()
    headers.note = None
    has_regular = is_trailer
    for name, value in fields:
        if name.startswith(b":"):
            if has_regular or name not in PSEUDO or name in headers:
                raise MalformedHeadersError(f"pseudo-header field {name!r} is out of place")
        else:
            has_regular = True
            if name in CONNECTION_SPECIFIC or _NAME.fullmatch(name) is None:
                raise MalformedHeadersError(f"field {name!r} has no place in HTTP/2")
            if name == b"te" and value != b"trailers":
                raise MalformedHeadersError("te may be trailers only")
            if name in headers and name in SINGULAR:
                raise MalformedHeadersError(f"field {name!r} comes twice")
        if _LINE_BREAKS.search(value):
            raise MalformedHeadersError(f"the value of {name!r} has a line break or NUL")
        headers[name] = value
    if not is_trailer:
        _check_target(headers)
    return headers


def _check_target(headers: Headers) -> None:
    """Raise MalformedHeadersError for a request that names no target, or two (8.3.1)."""
    if not all(headers.get(name) for name in REQUIRED):
        raise MalformedHeadersError("a pseudo-header field is missing")
    path, authority = headers[b":path"], headers.get(b":authority")
    if not path.startswith(b"/") and not (path == b"*" and headers[b":method"] == b"OPTIONS"):
        raise MalformedHeadersError(":path is no path")
    if authority is not None and (b"@" in authority or headers.get(b"host", authority) != authority):
        raise MalformedHeadersError(":authority has a user in it, or host is another one")


def literal(name: bytes, value: bytes) -> bytes:
    """Return a field that is not added to the dynamic table (RFC 7541, 6.2.2)."""
    return b"\x00" + _string(name) + _string(value)


def _string(data: bytes) -> bytes:
    if len(data) < 127:
        return bytes((len(data),)) + data
    rest = len(data) - 127
    prefix = bytearray(b"\x7f")
    while rest > 127:
        prefix.append(rest & 0x7F | 0x80)
        rest >>= 7
    prefix.append(rest)
    return bytes(prefix) + data
