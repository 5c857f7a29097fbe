"""Cursors as text that fits into a URL: of stores that list their keys in order, the last key of a page; of others, a
place in a range of names.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Final

from msgspec import DecodeError, Struct, json

from .errors import InvalidCursorError
from .feeds import ETagPage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .feeds import KeyETag

_LAST_CHARACTER: Final = 0x10FFFF


def cursor_after(key: str) -> str:
    """Return the cursor of the page that begins after a stored key."""
    return urlsafe_b64encode(key.encode()).decode()


def etag_page(found: Sequence[KeyETag], limit: int) -> ETagPage:
    """Return a page of up to `limit` keys, of which one more was looked for to know whether there is another page."""
    more = len(found) > limit
    return ETagPage(found[:limit], cursor_after(found[limit - 1].key) if more else None)


def key_before(cursor: str, prefix: str) -> str:
    """Return the stored key after which a cursor's page begins.

    Raises InvalidCursorError if it does not have the prefix.
    """
    try:
        key = urlsafe_b64decode(cursor.encode("ascii")).decode()
    except ValueError as error:
        raise InvalidCursorError(
            f"cursor {cursor!r} was not made by this store; leave it out to start again"
        ) from error
    if not key.startswith(prefix):
        raise InvalidCursorError(
            f"cursor {cursor!r} belongs to another prefix; leave it out to start from the beginning"
        )
    return key


def first_after(prefix: str) -> str | None:
    """Return the first text that sorts, by bytes, after all that begin with the prefix; None if there is none."""
    rest = prefix.rstrip(chr(_LAST_CHARACTER))
    if not rest:
        return None
    last = ord(rest[-1]) + 1
    return rest[:-1] + chr(0xE000 if 0xD800 <= last <= 0xDFFF else last)


class RangeCursor(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where the next page begins: in which of the ranges of names that have keys with a prefix, and where there."""

    prefix: str
    place: int
    """The number of the range."""
    marker: str
    """The database's own; empty: at the beginning."""

    def __str__(self) -> str:
        return urlsafe_b64encode(json.encode(self)).decode()


def read_range_cursor(text: str, prefix: str, ranges: int) -> RangeCursor:
    """Return a cursor as a caller sends it. Raises InvalidCursorError."""
    try:
        cursor = json.decode(urlsafe_b64decode(text.encode("ascii")), type=RangeCursor)
    except (ValueError, DecodeError) as error:
        raise InvalidCursorError(f"cursor {text!r} was not made by this store; leave it out to start again") from error
    if cursor.prefix != prefix or not 0 <= cursor.place < ranges:
        raise InvalidCursorError(f"cursor {text!r} belongs to another prefix; leave it out to start from the beginning")
    return cursor
