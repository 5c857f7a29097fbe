"""The protobuf wire format, for messages declared as structs: `key: Annotated[str, 2] = ""` is field 2, a string.

protobuf's own runtime would cost each sidecar 14 MB and 0.15 s at its start. What our messages need of the format
(https://protobuf.dev/programming-guides/encoding) fits in here: strings, bytes, integers, booleans, messages, lists of
strings and messages, and maps from string to string. Unknown fields are skipped, as the format wants it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from msgspec import Struct

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
MAX_DEPTH = 16
"""Messages within messages; ours nest four deep."""

AnyMessage = TypeVar("AnyMessage", bound=Struct)


class MalformedMessageError(ValueError):
    """Bytes that do not decode as the expected message."""


class Field:
    """How one field is read and written."""

    __slots__ = ("inner", "is_optional", "name", "read", "tag", "write")

    def __init__(
        self,
        name: str,
        tag: int,
        read: Callable[[Any, Any, int], Any],
        write: Callable[[list[bytes], bytes, Any], None],
        is_optional: bool,
        inner: type[Struct] | None,
    ):
        self.inner = inner
        """The kind of message that it holds, once or often; None where it holds none."""
        self.is_optional = is_optional
        """Whether it is there matters, not only what it holds."""
        self.name = name
        self.tag = write_varint(tag)
        self.read = read
        """From what the field holds so far, the bytes or integer on the wire, and the depth, to what it holds then."""
        self.write = write
        """Adds the tag and a value that is not the default."""


def decode(kind: type[AnyMessage], data: bytes, depth: int = 0, message: AnyMessage | None = None) -> AnyMessage:
    """Return the message of that kind, or merge it into `message`, as the format wants it.

    Raises MalformedMessageError.
    """
    if depth > MAX_DEPTH:
        raise MalformedMessageError("messages are nested too deeply")
    if message is None:
        message = kind()
    fields = describe(kind)
    at, end = 0, len(data)
    try:
        while at < end:
            tag = data[at]
            at += 1
            if tag > 127:
                tag, at = read_varint(data, at - 1)
            value: bytes | int
            if tag & 7 == LENGTH:
                size = data[at]
                at += 1
                if size > 127:
                    size, at = read_varint(data, at - 1)
                value = data[at : at + size]
                at += size
            elif tag & 7 == VARINT:
                value, at = read_varint(data, at)
            else:
                at += _fixed_size(tag)
                continue
            field = fields.get(tag)
            if field is not None:
                setattr(message, field.name, field.read(getattr(message, field.name), value, depth))
            elif tag < 8:
                raise MalformedMessageError("field 0 does not exist")
    except IndexError:
        at = end + 1
    except UnicodeDecodeError as error:
        raise MalformedMessageError(f"a string is not UTF-8: {error.reason}") from error
    if at != end:
        raise MalformedMessageError("the message ends within a field")
    return message


def encode(message: Struct) -> bytes:
    """Return the bytes of a message; fields that have their default are left out."""
    parts: list[bytes] = []
    for field in describe(type(message)).values():
        value = getattr(message, field.name)
        if value or (value == "" and field.is_optional):
            field.write(parts, field.tag, value)
    return b"".join(parts)


def end_of_part(data: bytes, at: int, fields: int) -> int:
    """Return where so many fields end, from `at` on, or the message does. The parts of a message can be merged."""
    end = len(data)
    try:
        for _ in range(fields):
            if at >= end:
                break
            tag, size, at = _read_field_header(data, at)
            at += size
    except (IndexError, MalformedMessageError):
        return end  # it is malformed, which decoding reports
    return min(at, end)


def count_fields(kind: type[Struct], data: bytes, most: int) -> int:
    """Return how many fields a message has, those of inner messages included, but not many more than `most`."""
    fields = describe(kind)
    count, at, end = 0, 0, len(data)
    try:
        while at < end and count <= most:
            count += 1
            tag, size, at = _read_field_header(data, at)
            field = fields.get(tag)
            if field is not None and field.inner is not None and size:
                count += count_fields(field.inner, data[at : at + size], most - count)
            at += size
    except (IndexError, MalformedMessageError, RecursionError):
        pass  # it is malformed, which decoding reports
    return count


def _read_field_header(data: bytes, at: int) -> tuple[int, int, int]:
    """Return the tag of a field, the bytes of what it holds, and where that begins."""
    tag, at = read_varint(data, at)
    if tag & 7 == LENGTH:
        size, at = read_varint(data, at)
        return tag, size, at
    if tag & 7 == VARINT:
        return tag, 0, read_varint(data, at)[1]
    return tag, _fixed_size(tag), at


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer at `at`, and where it ends.

    Raises MalformedMessageError, and IndexError where the bytes end.
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
        return bytes((number,))
    number &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while number > 127:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _fixed_size(tag: int) -> int:
    if tag & 7 == FIXED64:
        return 8
    if tag & 7 == FIXED32:
        return 4
    raise MalformedMessageError(f"there is no wire type {tag & 7}")


@cache
def describe(kind: type[Struct]) -> dict[int, Field]:
    """Return the fields of a message by their tags, in the order of their numbers."""
    fields = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if get_origin(hint) is Annotated:
            of, number = get_args(hint)
            tag = number << 3 | (VARINT if of in (int, bool) else LENGTH)
            fields[tag] = Field(name, tag, *_way(of), is_optional=type(None) in get_args(of), inner=_inner(of))
    return dict(sorted(fields.items()))


def _inner(of: Any) -> type[Struct] | None:
    if get_origin(of) is dict:
        return _Entry
    if get_origin(of) in (UnionType, list):
        return _inner(get_args(of)[0])
    return of if isinstance(of, type) and issubclass(of, Struct) else None


Way = tuple[Callable[[Any, Any, int], Any], Callable[[list[bytes], bytes, Any], None]]


def _way(of: Any) -> Way:
    """Return how values of a type are read and written."""
    if of is int:  # int32, or an enumeration
        return _read_int, lambda parts, tag, value: parts.extend((tag, write_varint(value)))
    if of is bool:
        return lambda _, number, depth: number != 0, lambda parts, tag, value: parts.extend((tag, b"\x01"))
    if of is str:
        return lambda _, data, depth: data.decode(), lambda parts, tag, value: _write(parts, tag, value.encode())
    if of is bytes:
        return lambda _, data, depth: data, _write
    if get_origin(of) is UnionType:  # X | None
        return _way(get_args(of)[0])
    if get_origin(of) is list:
        return _way_of_list(get_args(of)[0])
    if get_origin(of) is dict:
        return _read_entry, _write_entries
    return _way_of_message(of)


def _read_int(_: Any, number: int, depth: int) -> int:
    """Return the lower 32 bits as two's complement."""
    return (number & 0xFFFF_FFFF ^ 0x8000_0000) - 0x8000_0000


def _way_of_message(kind: type[Struct]) -> Way:
    def read(so_far: Struct | None, data: bytes, depth: int) -> Struct:
        return decode(kind, data, depth + 1, so_far)

    def write(parts: list[bytes], tag: bytes, value: Struct) -> None:
        _write(parts, tag, encode(value))

    return read, write


def _way_of_list(of: Any) -> Way:
    read_one, write_one = _way(of)

    def read(so_far: list[Any], value: Any, depth: int) -> list[Any]:
        so_far.append(read_one(None, value, depth))
        return so_far

    def write(parts: list[bytes], tag: bytes, values: list[Any]) -> None:
        for value in values:
            write_one(parts, tag, value)

    return read, write


class _Entry(Struct):
    key: Annotated[str, 1] = ""
    value: Annotated[str, 2] = ""


def _read_entry(so_far: dict[str, str], data: bytes, depth: int) -> dict[str, str]:
    entry = decode(_Entry, data, depth + 1)
    so_far[entry.key] = entry.value
    return so_far


def _write_entries(parts: list[bytes], tag: bytes, values: dict[str, str]) -> None:
    for key, value in values.items():
        _write(parts, tag, encode(_Entry(key, value)))


def _write(parts: list[bytes], tag: bytes, data: bytes) -> None:
    parts.extend((tag, write_varint(len(data)), data))
