"""The first exchange, in which both sides say whether the connection is encrypted ([MS-TDS] 2.2.6.5)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from .errors import BrokenProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

OFF: Final = 0
ON: Final = 1
NOT_SUPPORTED: Final = 2
REQUIRED: Final = 3
_VERSION: Final = 0x00
_ENCRYPTION: Final = 0x01
_INSTANCE: Final = 0x02
_THREAD: Final = 0x03
_SEVERAL_RESULTS: Final = 0x04
_TOKEN: Final = 0x06
_NONCE: Final = 0x07
_END: Final = 0xFF
_ENTRY: Final = struct.Struct(">BHH")
_NONCE_SIZE: Final = 32


class Offer(NamedTuple):
    """What the server has said."""

    encryption: int
    wants_echo: bool = False
    """Whether the login must repeat that it brings a token."""
    nonce: bytes = b""
    """To be sent with a token; empty: none."""


def offer(encryption: int, *, has_token: bool) -> bytes:
    """Return the message that the client begins with."""
    options = {
        _VERSION: bytes(6),
        _ENCRYPTION: bytes([encryption]),
        _INSTANCE: b"\0",
        _THREAD: bytes(4),
        _SEVERAL_RESULTS: b"\0",
    }
    return packed(options | {_TOKEN: b"\x01"} if has_token else options)


def packed(options: Mapping[int, bytes]) -> bytes:
    """Return options as both sides send them."""
    position = _ENTRY.size * len(options) + 1
    entries = bytearray()
    for option, content in options.items():
        entries += _ENTRY.pack(option, position, len(content))
        position += len(content)
    return bytes(entries) + bytes([_END]) + b"".join(options.values())


def unpacked(content: bytes) -> dict[int, bytes]:
    """Return the options of a message. Raises BrokenProtocolError."""
    options = {}
    position = 0
    while content[position : position + 1] != bytes([_END]):
        if position + _ENTRY.size > len(content):
            raise BrokenProtocolError
        option, start, length = _ENTRY.unpack_from(content, position)
        if start + length > len(content):
            raise BrokenProtocolError
        options[option] = content[start : start + length]
        position += _ENTRY.size
    return options


def read(content: bytes) -> Offer:
    """Return what the server's message says. Raises BrokenProtocolError."""
    options = unpacked(content)
    encryption = options.get(_ENCRYPTION, b"")
    nonce = options.get(_NONCE, b"")
    if not encryption or len(nonce) not in (0, _NONCE_SIZE):
        raise BrokenProtocolError
    return Offer(encryption[0], options.get(_TOKEN, b"") == b"\x01", nonce)
