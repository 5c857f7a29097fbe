"""What a store reports of the changes of its keys: the entries of a feed.

A feed is begun by `Store.feed`, or for stores that cannot report by themselves by `polling.feed_of`. It keeps these
promises, to which `tests/conformance/test_feeds.py` holds every store:

- It begins with `Alive`: every change that takes effect after it is reported. With `since` it begins with what came
  after that position or, if that cannot be known, with a `Gap`.
- The changes of one key are reported in the database's order. States that were replaced before they were reported may
  be left out; the last state of each key is always reported.
- `Alive` comes every `feed_lag_s` seconds at the latest while the database answers. It follows a round trip behind the
  changes, on their way: a timer of the sidecar alone proves nothing.
- If something may have been missed, there is a `Gap`, or the feed ends with a StoreError. A server that is silent ends
  it too, after a timeout.
- What waits to be taken is bounded, so a slow consumer gets a `Gap` and no queue grows.
- `aclose` frees everything, also at the server.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from enum import Enum
from typing import Final

from msgspec import Struct

UNREAD: Final = ""
"""Stands for an ETag that the database does not report; an ETag is never empty."""


class ChangesBy(Enum):
    """How the changes of a store's keys become known."""

    PUSH = "push"
    """The database, or the store itself, reports them as they happen."""
    POLL = "poll"
    """All ETags are read again from time to time, and compared."""
    NONE = "none"
    """Not at all, for example because its keys cannot be enumerated."""


class KeyChange(Struct, frozen=True, gc=False):
    """One key was written, or is gone."""

    key: str
    """The stored key."""
    etag: str | None = UNREAD
    """The ETag after the change; None: the key was deleted, or has expired and was removed."""
    position: str | None = None
    """A feed that is begun with this as `since` goes on after this change; None: there are no positions."""


class Gap(Struct, frozen=True, gc=False):
    """Changes may have been missed: whoever relies on the feed has to read all keys again."""

    reason: str
    """One line, in our words, for clients."""


class Alive(Struct, frozen=True, gc=False):
    """Every change that was complete at a time has been reported."""

    as_of: float
    """Time of `time.monotonic`."""
    position: str | None = None
    """As of a change: the place that the feed has reached."""


Entry = KeyChange | Gap | Alive
Feed = AsyncGenerator[Sequence[Entry], None]
"""Yields entries in batches, and is closed by `aclose`. Raises a StoreError when it cannot go on."""


class KeyETag(Struct, frozen=True, gc=False):
    """A stored key and the ETag of its value."""

    key: str
    etag: str


class ETagPage(Struct, frozen=True):
    """A page of stored keys with their ETags, and the cursor of the next one."""

    entries: Sequence[KeyETag]
    cursor: str | None
    """As of a page of keys; None: this is the last page."""
