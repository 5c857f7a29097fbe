"""What every protobuf message is made of: integers of variable length, and the headers of fields."""

from __future__ import annotations

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""Wire types, the lower three bits of a tag. 3 and 4 began and ended groups, which proto3 does not have."""


_ONE_BYTE = [bytes((number,)) for number in range(128)]


class MalformedMessageError(ValueError):
    """Bytes that do not decode as the expected message."""


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer at `at`, and where it ends.

    Raises MalformedMessageError, and IndexError if the bytes end too early.
    """
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 128:
            return result & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
        if shift > 63:
            raise MalformedMessageError("an integer is longer than ten bytes")


def write_varint(number: int) -> bytes:
    """Return the bytes of an integer; negative ones take ten, as two's complement."""
    if 0 <= number < 128:
        return _ONE_BYTE[number]
    number &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while number > 127:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def as_int32(number: int) -> int:
    """Return the lower 32 bits of an integer as two's complement."""
    return (number & 0xFFFF_FFFF ^ 0x8000_0000) - 0x8000_0000


class Int64(int):
    """An integer of 64 bits in a message; `int` is one of 32."""


def as_int64(number: int) -> int:
    """Return the lower 64 bits of an integer as two's complement."""
    return (number & 0xFFFF_FFFF_FFFF_FFFF ^ 0x8000_0000_0000_0000) - 0x8000_0000_0000_0000


def fixed_size(tag: int) -> int:
    """Return how many bytes a field has if its wire type alone says so. Raises MalformedMessageError."""
    if tag & 7 == FIXED64:
        return 8
    if tag & 7 == FIXED32:
        return 4
    raise MalformedMessageError(f"there is no wire type {tag & 7}")


def read_field_header(data: bytes, at: int) -> tuple[int, int, int]:
    """Return the tag of a field, how many bytes follow, and where those begin. An integer is skipped, so none follow.

    Raises MalformedMessageError, and IndexError if the bytes end too early.
    """
    tag, at = read_varint(data, at)
    if tag & 7 == LENGTH:
        size, at = read_varint(data, at)
        return tag, size, at
    if tag & 7 == VARINT:
        return tag, 0, read_varint(data, at)[1]
    return tag, fixed_size(tag), at
