"""HTTP/2 frames (RFC 9113, 4 and 6): their numbers, and functions that encode and decode them."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_SIZE: Final = 9
MAX_FRAME: Final = 16_384
"""The largest payload that we accept, and that any peer must accept unless its settings allow more (RFC 9113, 4.2)."""
MAX_WINDOW: Final = 2**31 - 1
DEFAULT_WINDOW: Final = 65_535

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = (
    range(1, 7)
)


class ErrorCode(IntEnum):
    """The error codes of RFC 9113, 7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Http2ConnectionError(Exception):
    """The peer broke a rule in such a way that the connection must end (RFC 9113, 5.4.1)."""

    def __init__(self, code: ErrorCode, why: str):
        super().__init__(why)
        self.code = code


class PrefaceError(Http2ConnectionError):
    """The peer does not send HTTP/2, or sends it over TLS (RFC 9113, 3.4)."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.PROTOCOL_ERROR, "not the preface of HTTP/2")


class Http2StreamError(Exception):
    """The peer broke a rule that ends one stream (RFC 9113, 5.4.2)."""

    def __init__(self, stream_id: int, code: ErrorCode):
        super().__init__(stream_id, code)
        self.stream_id = stream_id
        self.code = code


_HEADER = Struct(">HBBBL")
read_header = _HEADER.unpack_from
"""Unpacks a frame's header at an offset: the upper and lower part of its size, its type, flags and stream."""
_SETTING = Struct(">HL")
U32 = Struct(">L")
GOAWAY_HEADER = Struct(">LL")


def header(size: int, kind: int, flags: int, stream_id: int) -> bytes:
    """Return the nine bytes before a payload."""
    return _HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream_id)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Return a whole frame."""
    return header(len(payload), kind, flags, stream_id) + payload


class Prepared:
    """A frame that is the same on every stream: it is made once, and only the stream's number is filled in."""

    __slots__ = ("payload", "start")

    def __init__(self, kind: int, flags: int, payload: bytes):
        self.start = header(len(payload), kind, flags, 0)[:5]
        """The bytes before the number."""
        self.payload = payload

    def on(self, stream_id: int) -> bytes:
        """Return the frame for that stream."""
        return self.start + U32.pack(stream_id) + self.payload


def settings(values: dict[int, int]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*setting) for setting in values.items()))


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """Return numbers and values of a SETTINGS payload whose size has been checked."""
    return list(_SETTING.iter_unpack(payload))


def window_update(stream_id: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, U32.pack(increment))


def rst_stream(stream_id: int, code: ErrorCode) -> bytes:
    return frame(RST_STREAM, 0, stream_id, U32.pack(code))


def goaway(last_stream_id: int, code: ErrorCode, why: str = "") -> bytes:
    return frame(GOAWAY, 0, 0, GOAWAY_HEADER.pack(last_stream_id, code) + why.encode()[:200])


def last_headers(stream_id: int, block: bytes) -> bytes:
    """Return a header block that ends a stream, in as many frames as it needs."""
    if len(block) <= MAX_FRAME:
        return frame(HEADERS, END_HEADERS | END_STREAM, stream_id, block)
    parts = [block[at : at + MAX_FRAME] for at in range(0, len(block), MAX_FRAME)]
    first = frame(HEADERS, END_STREAM, stream_id, parts[0])
    middle = [frame(CONTINUATION, 0, stream_id, part) for part in parts[1:-1]]
    return b"".join((first, *middle, frame(CONTINUATION, END_HEADERS, stream_id, parts[-1])))


def without_padding(payload: bytes) -> bytes:
    """Return the payload of a frame with PADDED without its padding. Raises Http2ConnectionError (RFC 9113, 6.1)."""
    if not payload or payload[0] >= len(payload):
        raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "more padding than payload")
    return payload[1 : len(payload) - payload[0]]
