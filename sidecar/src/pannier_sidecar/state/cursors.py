"""Cursors of stores that list their keys in order: the last key of a page, as text that fits into a URL."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from .errors import InvalidCursorError


def cursor_after(key: str) -> str:
    """Return the cursor of the page that begins after a stored key."""
    return urlsafe_b64encode(key.encode()).decode()


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
