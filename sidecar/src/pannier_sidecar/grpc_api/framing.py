"""gRPC's frame around each message, and its deadlines. No I/O.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import zlib
from struct import Struct
from typing import Final

from .status import Code, StatusError

PREFIX_SIZE: Final = 5
"""Bytes before each message: the compressed flag (1) and the length (4)."""
_PREFIX: Final = Struct(">BL")
_read_prefix: Final = _PREFIX.unpack_from
_UNITS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def framed(message: bytes) -> bytes:
    """Return a message with its length prefix."""
    return _PREFIX.pack(0, len(message)) + message


def first_end(received: bytes | bytearray) -> int | None:
    """Return where the first message ends, None if it has not arrived yet."""
    end = PREFIX_SIZE + int.from_bytes(received[1:PREFIX_SIZE], "big")
    return end if len(received) >= PREFIX_SIZE and len(received) >= end else None


def only_message(received: bytes | bytearray) -> bytes | None:
    """Return the message of a whole request that has exactly one, uncompressed; None for any other request."""
    if len(received) < PREFIX_SIZE or _read_prefix(received) != (0, len(received) - PREFIX_SIZE):
        return None
    return bytes(received[PREFIX_SIZE:])


def inflated(message: bytes, encoding: bytes, limit: int) -> bytes:
    """Return the decompressed message, which may have `limit` bytes at most. Raises StatusError."""
    if encoding != b"gzip":
        shown = encoding.decode("latin-1")
        raise StatusError(Code.UNIMPLEMENTED, f"grpc-encoding {shown!r} is not served; use gzip or identity")
    inflater = zlib.decompressobj(wbits=31)
    try:
        message = inflater.decompress(message, limit + 1)
    except zlib.error as error:
        raise StatusError(Code.INTERNAL, f"the message is no gzip: {error}") from error
    if len(message) > limit:
        raise too_large(limit)
    if not inflater.eof:
        raise StatusError(Code.INTERNAL, "the message is no gzip: it ends too early")
    return message


def too_large(limit: int) -> StatusError:
    """Return the status of a call whose message is over the limit."""
    why = f"the message is over {limit} bytes; send less or raise --max-body-size"
    return StatusError(Code.RESOURCE_EXHAUSTED, why)


def parse_timeout(timeout: bytes) -> float:
    """Return a `grpc-timeout` in seconds. Raises StatusError."""
    text = timeout.decode("latin-1")
    if not 2 <= len(text) <= 9 or text[-1] not in _UNITS or not text[:-1].isdecimal():
        raise StatusError(Code.INTERNAL, f"grpc-timeout is {text!r}; write up to 8 digits and one of H, M, S, m, u, n")
    return int(text[:-1]) * _UNITS[text[-1]]
