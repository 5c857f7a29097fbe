"""Divides a long message into parts, and measures its work, both without decoding it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .codec import MAX_DEPTH, describe
from .wire import MalformedMessageError, read_field_header

if TYPE_CHECKING:
    from msgspec import Struct


def end_of_part(data: bytes, at: int, fields: int) -> int:
    """Return where this many fields after `at` end, or where the message ends. The parts of a message can be merged."""
    end = len(data)
    try:
        for _ in range(fields):
            if at >= end:
                break
            _, size, at = read_field_header(data, at)
            at += size
    except (IndexError, MalformedMessageError):
        return end  # it is malformed, which decoding reports
    return min(at, end)


def count_fields(kind: type[Struct], data: bytes, maximum: int, depth: int = 0) -> int:
    """Return how many fields a message has, those of inner messages included, but not many more than `maximum`.

    A malformed message is counted only up to its error.
    """
    fields = describe(kind)
    count, at, end = 0, 0, len(data)
    try:
        while at < end and count <= maximum:
            count += 1
            tag, size, at = read_field_header(data, at)
            field = fields.get(tag)
            if field is not None and field.inner is not None and size and depth < MAX_DEPTH:
                count += count_fields(field.inner, data[at : at + size], maximum - count, depth + 1)
            at += size
    except (IndexError, MalformedMessageError):
        pass  # it is malformed, which decoding reports
    return count
