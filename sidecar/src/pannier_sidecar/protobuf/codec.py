"""Messages declared as structs: `key: Annotated[str, 2] = ""` is field 2, a string.

Fields may be strings, bytes, integers of 32 bits or enumerations, integers of 64 bits (`Int64`), booleans, messages,
lists of strings, bytes and messages, and maps from strings to strings or messages. `str | None` is a string that may be
absent, which differs from empty. Unknown fields are skipped, as the format requires.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from msgspec import Struct, defstruct

from .wire import (
    LENGTH,
    VARINT,
    Int64,
    MalformedMessageError,
    as_int32,
    as_int64,
    fixed_size,
    read_varint,
    write_varint,
)

MAX_DEPTH = 16
"""Maximum depth of messages within messages. It bounds the work too: each level copies the bytes of a message once."""

AnyMessage = TypeVar("AnyMessage", bound=Struct)

Reader = Callable[[Any, Any, int], Any]
"""Returns a field's new value from its value so far, the bytes or integer on the wire, and the message's depth."""
Writer = Callable[[list[bytes], bytes, Any], None]
"""Adds the tag and the value to the parts of a message."""


class Field:
    """How one field is read and written."""

    __slots__ = ("inner", "is_optional", "name", "read", "tag", "write")

    def __init__(self, name: str, tag: int, of: Any):
        self.inner = _inner(of)
        """The kind of message that it holds, once or repeatedly; None if it holds no message."""
        self.is_optional = type(None) in get_args(of)
        """Whether an absent field differs from an empty one."""
        self.name = name
        self.tag = write_varint(tag)
        self.read, self.write = _codec(of)


def decode(kind: type[AnyMessage], data: bytes, depth: int = 0, message: AnyMessage | None = None) -> AnyMessage:
    """Return the message of that kind, or merge it into `message`, as the format requires.

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
                at += fixed_size(tag)
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
        if value or (field.is_optional and value is not None):
            field.write(parts, field.tag, value)
    return b"".join(parts)


@cache
def describe(kind: type[Struct]) -> dict[int, Field]:
    """Return the fields of a message by their tags, in the order of their numbers. Raises TypeError."""
    fields = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if get_origin(hint) is Annotated:
            of, number = get_args(hint)
            tag = number << 3 | (VARINT if _one(of) in (int, bool, Int64) else LENGTH)
            fields[tag] = Field(name, tag, of)
    return dict(sorted(fields.items()))


def _one(of: Any) -> Any:
    """Return X of `X | None`."""
    return get_args(of)[0] if get_origin(of) is UnionType else of


def _inner(of: Any) -> type[Struct] | None:
    if get_origin(of) is dict:
        return _entry_of(get_args(of)[1])
    if get_origin(of) in (UnionType, list):
        return _inner(get_args(of)[0])
    return of if isinstance(of, type) and issubclass(of, Struct) else None


# --- how values of a type are read and written ------------------------------------------------------------------------


def _codec(of: Any) -> tuple[Reader, Writer]:
    of = _one(of)
    if of in _SCALARS:
        return _SCALARS[of]
    if get_origin(of) is list and get_args(of)[0] not in (int, bool, Int64):  # proto3 packs several of those together
        return _codec_of_list(get_args(of)[0])
    if of == dict[str, str]:
        return _read_entry, _write_entries
    if get_origin(of) is dict and get_args(of)[0] is str and _inner(get_args(of)[1]) is get_args(of)[1]:
        return _codec_of_entries(_entry_of(get_args(of)[1]))
    if isinstance(of, type) and issubclass(of, Struct):
        return _codec_of_message(of)
    raise TypeError(f"a field of a message cannot be {of}")


def _write(parts: list[bytes], tag: bytes, data: bytes) -> None:
    parts.extend((tag, write_varint(len(data)), data))


_SCALARS: dict[Any, tuple[Reader, Writer]] = {
    int: (
        lambda _, number, depth: as_int32(number),
        lambda parts, tag, value: parts.extend((tag, write_varint(value))),
    ),
    Int64: (
        lambda _, number, depth: as_int64(number),
        lambda parts, tag, value: parts.extend((tag, write_varint(value))),
    ),
    bool: (
        lambda _, number, depth: number != 0,
        lambda parts, tag, value: parts.extend((tag, b"\x01" if value else b"\x00")),
    ),
    str: (lambda _, data, depth: data.decode(), lambda parts, tag, value: _write(parts, tag, value.encode())),
    bytes: (lambda _, data, depth: data, _write),
}


def _codec_of_message(kind: type[Struct]) -> tuple[Reader, Writer]:
    def read(so_far: Struct | None, data: bytes, depth: int) -> Struct:
        return decode(kind, data, depth + 1, so_far)

    def write(parts: list[bytes], tag: bytes, value: Struct) -> None:
        _write(parts, tag, encode(value))

    return read, write


def _codec_of_list(of: Any) -> tuple[Reader, Writer]:
    read_one, write_one = _codec(of)

    def read(so_far: list[Any], value: Any, depth: int) -> list[Any]:
        so_far.append(read_one(None, value, depth))
        return so_far

    def write(parts: list[bytes], tag: bytes, values: list[Any]) -> None:
        for value in values:
            write_one(parts, tag, value)

    return read, write


class _Entry(Struct):
    """An entry of a map, which is a message on the wire."""

    key: Annotated[str, 1] = ""
    value: Annotated[str, 2] = ""


@cache
def _entry_of(value: Any) -> type[Struct]:
    """Return the message of a map's entries."""
    if value is str:
        return _Entry
    return defstruct("_EntryOf", [("key", Annotated[str, 1], ""), ("value", Annotated[value, 2], None)])


def _codec_of_entries(kind: Any) -> tuple[Reader, Writer]:
    """Return the codec of a map to messages; an entry without a value has an empty message."""
    of = get_args(get_type_hints(kind, include_extras=True)["value"])[0]

    def read(so_far: dict[str, Any], data: bytes, depth: int) -> dict[str, Any]:
        entry = decode(kind, data, depth + 1)
        so_far[entry.key] = of() if entry.value is None else entry.value
        return so_far

    def write(parts: list[bytes], tag: bytes, values: dict[str, Any]) -> None:
        for key, value in values.items():
            _write(parts, tag, encode(kind(key, value)))

    return read, write


def _read_entry(so_far: dict[str, str], data: bytes, depth: int) -> dict[str, str]:
    entry = decode(_Entry, data, depth + 1)
    so_far[entry.key] = entry.value
    return so_far


def _write_entries(parts: list[bytes], tag: bytes, values: dict[str, str]) -> None:
    for key, value in values.items():
        _write(parts, tag, encode(_Entry(key, value)))
