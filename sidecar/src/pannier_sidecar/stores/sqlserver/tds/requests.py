"""Requests: a batch of statements, or one with parameters, which `sp_executesql` runs ([MS-TDS] 2.2.6.6, 2.2.6.7)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_ALL_HEADERS: Final = struct.Struct("<IIHQI")
_TRANSACTION: Final = 2
_EXECUTE_SQL: Final = struct.pack("<HHH", 0xFFFF, 10, 0)
_NVARCHAR: Final = 0xE7
_VARBINARY: Final = 0xA5
_INTEGER: Final = 0x26
_MAX: Final = 0xFFFF
_NULL: Final = bytes([0xFF] * 8)
_SHORT_NULL: Final = b"\xff\xff"


class Parameter(NamedTuple):
    """A value, and its name and type as a statement has them."""

    name: str
    """With its `@`."""
    type: str
    """INT, BIGINT or BIT, or NVARCHAR or VARBINARY with a length or MAX."""
    value: str | bytes | int | None


def batch(statements: str, transaction: int) -> bytes:
    """Return the message that runs statements without parameters; `transaction` is the one of the connection."""
    return _headers(transaction) + statements.encode("utf-16-le")


def statement(text: str, parameters: Iterable[Parameter], transaction: int, collation: bytes) -> bytes:
    """Return the message that runs a statement; `collation` is the one of the connection, in 5 bytes."""
    listed = tuple(parameters)
    types = ", ".join(f"{each.name} {each.type}" for each in listed)
    given = (Parameter("", "NVARCHAR(MAX)", text), Parameter("", "NVARCHAR(MAX)", types), *listed)
    sent = given if listed else given[:1]
    return _headers(transaction) + _EXECUTE_SQL + b"".join(_parameter(each, collation) for each in sent)


def _headers(transaction: int) -> bytes:
    size = _ALL_HEADERS.size
    return _ALL_HEADERS.pack(size, size - 4, _TRANSACTION, transaction, 1)


def _parameter(given: Parameter, collation: bytes) -> bytes:
    name = given.name.encode("utf-16-le")
    return bytes([len(name) // 2]) + name + b"\0" + _typed(given, collation)


def _typed(given: Parameter, collation: bytes) -> bytes:
    """Return the type and the value."""
    value = given.value
    if given.type in ("INT", "BIGINT", "BIT"):
        size = {"INT": 4, "BIGINT": 8, "BIT": 1}[given.type]
        assert value is None or isinstance(value, int)
        code = 0x68 if given.type == "BIT" else _INTEGER
        content = b"" if value is None else value.to_bytes(size, "little", signed=size > 1)
        return bytes([code, size, len(content)]) + content
    if isinstance(value, str):
        value = value.encode("utf-16-le", "surrogatepass")
    assert value is None or isinstance(value, bytes)
    name, _, length = given.type.removesuffix(")").partition("(")
    code, extra, width = (_NVARCHAR, collation, 2) if name == "NVARCHAR" else (_VARBINARY, b"", 1)
    if length == "MAX":
        return struct.pack("<BH", code, _MAX) + extra + _in_parts(value)
    content = _SHORT_NULL if value is None else struct.pack("<H", len(value)) + value
    return struct.pack("<BH", code, int(length) * width) + extra + content


def _in_parts(value: bytes | None) -> bytes:
    """Return a value without a maximum, as one part of its length, and the empty part that ends it."""
    if value is None:
        return _NULL
    part = struct.pack("<I", len(value)) + value if value else b""
    return struct.pack("<Q", len(value)) + part + bytes(4)
