"""The types of columns, and the values in rows ([MS-TDS] 2.2.5.4 to 2.2.5.6). Only those that the store asks for."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from .errors import BrokenProtocolError

Value = bytes | str | int | None

_FIXED: Final = {0x30: 1, 0x32: 1, 0x34: 2, 0x38: 4, 0x7F: 8}
"""Sizes of whole numbers that are never null; 0x32 is a bit."""
_NUMBERS: Final = (0x26, 0x68)
"""Whole numbers and bits that may be null."""
_GUID: Final = 0x24
_BYTES: Final = (0xA5, 0xAD)
_UNICODE: Final = (0xE7, 0xEF)
_IN_PARTS: Final = 0xFFFF
_NULL: Final = 0xFFFF
_NULL_IN_PARTS: Final = 0xFFFFFFFFFFFFFFFF
MAX_COLUMNS: Final = 64
"""Columns that an answer may have; no statement of the store asks for so many."""


class Reader:
    """Reads numbers and texts from the content of a message. Raises BrokenProtocolError at its end."""

    __slots__ = ("_content", "position")

    def __init__(self, content: bytes):
        self._content = content
        self.position = 0

    @property
    def is_at_end(self) -> bool:
        return self.position >= len(self._content)

    def take(self, size: int) -> bytes:
        start = self.position
        self.position = start + size
        if self.position > len(self._content):
            raise BrokenProtocolError
        return self._content[start : self.position]

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def text(self, length: int) -> str:
        """Return a text of so many UTF-16 units."""
        return decoded(self.take(2 * length))


class Column(NamedTuple):
    """The type of a column."""

    code: int
    size: int


def decoded(text: bytes) -> str:
    """Return a text of the server, which may have halves of characters. Raises BrokenProtocolError for half a unit."""
    try:
        return text.decode("utf-16-le", "surrogatepass")
    except UnicodeDecodeError as error:
        raise BrokenProtocolError from error


def read_columns(reader: Reader) -> list[Column]:
    """Read the types of all columns of a result."""
    count = reader.number(2)
    if count == 0xFFFF:
        return []
    if count > MAX_COLUMNS:
        raise BrokenProtocolError
    columns = []
    for _ in range(count):
        reader.take(6)  # the user's type, and flags
        columns.append(_column(reader))
        reader.text(reader.number(1))
    return columns


def read_value(reader: Reader, column: Column) -> Value:
    """Read one value of a row."""
    code, size = column
    if code in _FIXED:
        return reader.number(size, signed=size > 1)
    if code in _NUMBERS:
        length = reader.number(1)
        if length > 8:
            raise BrokenProtocolError
        return None if length == 0 else reader.number(length, signed=length > 1)
    if code == _GUID:
        return _guid(reader)
    content = _parts(reader) if size == _IN_PARTS else _whole(reader)
    return decoded(content) if content is not None and code in _UNICODE else content


def _column(reader: Reader) -> Column:
    code = reader.number(1)
    if code in _FIXED:
        return Column(code, _FIXED[code])
    if code in _NUMBERS or code == _GUID:
        return Column(code, reader.number(1))
    if code not in _BYTES and code not in _UNICODE:
        raise BrokenProtocolError
    size = reader.number(2)
    if code in _UNICODE:
        reader.take(5)  # its collation
    return Column(code, size)


def _guid(reader: Reader) -> str | None:
    length = reader.number(1)
    if length == 0:
        return None
    if length != 16:
        raise BrokenProtocolError
    first, second, third = struct.unpack("<IHH", reader.take(8))
    rest = reader.take(8).hex()
    return f"{first:08x}-{second:04x}-{third:04x}-{rest[:4]}-{rest[4:]}"


def _whole(reader: Reader) -> bytes | None:
    length = reader.number(2)
    return None if length == _NULL else reader.take(length)


def _parts(reader: Reader) -> bytes | None:
    """Read a value without a maximum: its length is announced, and its parts are read up to an empty one."""
    if reader.number(8) == _NULL_IN_PARTS:
        return None
    parts = []
    while length := reader.number(4):
        parts.append(reader.take(length))
    return parts[0] if len(parts) == 1 else b"".join(parts)
