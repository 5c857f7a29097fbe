"""Cuts messages into packets, and puts received packets together ([MS-TDS] 2.2.3)."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from .errors import BrokenProtocolError

BATCH: Final = 0x01
RPC: Final = 0x03
ANSWER: Final = 0x04
ATTENTION: Final = 0x06
LOGIN: Final = 0x10
PRELOGIN: Final = 0x12
SIZE: Final = 4096
"""Bytes of a packet before the server has said how large its packets are."""
LARGEST: Final = 32_767
"""Bytes of the largest packet that the protocol allows."""
_HEADER: Final = struct.Struct(">BBHHBB")
_IS_LAST: Final = 1


class Message(NamedTuple):
    """A whole message, put together."""

    kind: int
    content: bytes


def cut(kind: int, content: bytes, size: int = SIZE) -> bytes:
    """Return the packets of a message, each of at most `size` bytes."""
    room = size - _HEADER.size
    packets = bytearray()
    for number, start in enumerate(range(0, len(content) or 1, room), 1):
        part = content[start : start + room]
        is_last = start + room >= len(content)
        packets += _HEADER.pack(kind, _IS_LAST if is_last else 0, len(part) + _HEADER.size, 0, number % 256, 0)
        packets += part
    return bytes(packets)


class Assembler:
    """Puts messages together from the bytes that are received."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._content = bytearray()
        self._kind: int | None = None
        """Of the message whose packets come in; None: the next packet begins one."""

    def feed(self, received: bytes) -> None:
        self._received += received

    def take(self) -> Message | None:
        """Return the next message that is complete, or None. Raises BrokenProtocolError."""
        position = 0
        whole = None
        while whole is None and len(self._received) - position >= _HEADER.size:
            kind, status, length, *_ = _HEADER.unpack_from(self._received, position)
            if length < _HEADER.size or kind not in (ANSWER, PRELOGIN) or self._kind not in (None, kind):
                raise BrokenProtocolError
            if len(self._received) - position < length:
                break
            self._kind = kind
            self._content += self._received[position + _HEADER.size : position + length]
            position += length
            if status & _IS_LAST:
                whole = Message(kind, bytes(self._content))
                self._content = bytearray()
                self._kind = None
        del self._received[:position]
        return whole

    def rest(self) -> bytes:
        """Return what was received beyond the last message, and forget it."""
        rest = bytes(self._content + self._received)
        self._content, self._received, self._kind = bytearray(), bytearray(), None
        return rest

    @property
    def is_empty(self) -> bool:
        return not self._received and not self._content
