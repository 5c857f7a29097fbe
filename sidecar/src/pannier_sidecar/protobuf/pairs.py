"""Messages that begin with fields 1 and 2, both of them strings or bytes, read and written in one piece.

Most messages of the hot calls have no other fields. The results are the same as those of the codec.
"""

from __future__ import annotations

from .wire import MalformedMessageError, read_varint, write_varint

FIRST, SECOND = 0x0A, 0x12
"""The tags of fields 1 and 2 with wire type LENGTH."""


def read_pair(data: bytes) -> tuple[bytes, bytes, int] | None:
    """Return the contents of fields 1 and 2, and where they end; None if the message does not begin with these two, or
    if field 1 has more than 127 bytes.
    """
    try:
        size = data[1]
        if data[0] != FIRST or size > 127:
            return None
        middle = size + 2
        size, at = data[middle + 1], middle + 2
        if data[middle] != SECOND:
            return None
        if size > 127:
            size, at = read_varint(data, middle + 1)
    except (IndexError, MalformedMessageError):
        return None
    end = at + size
    return (data[2:middle], data[at:end], end) if end <= len(data) else None


def write_pair(first: bytes, second: bytes) -> bytes:
    """Return a message whose only fields are 1 and 2; an empty one is left out."""
    if not first:
        return b"\x12%b%b" % (write_varint(len(second)), second) if second else b""
    if not second:
        return b"\n%b%b" % (write_varint(len(first)), first)
    return b"\n%b%b\x12%b%b" % (write_varint(len(first)), first, write_varint(len(second)), second)
