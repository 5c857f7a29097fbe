"""The values of a near cache: which may be served, which must be forgotten, and how much memory they take. No I/O.

A value is served only if it is certain that nothing newer has been returned by this sidecar, and that nothing newer has
been reported as a change. Each read of the database is counted from its beginning: what it returns is kept only if its
key was neither written, nor reported as changed, nor dropped since then.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from .feeds import UNREAD
from .store import StoredValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .requests import Write

LARGEST_PART: Final = 8
"""A value that takes more than this part of the memory is not kept."""
EXPIRY_MARGIN_S: Final = 1.0
"""Seconds before its expiry from which a value is read from the database: times of expiry are rounded."""
ALLOCATION: Final = 16
"""Bytes by which the allocator rounds up, on average, for the objects of an entry."""


class CacheCounts(Struct):
    """What has happened to a cache. Only ever grows, but for `size` and `keys`."""

    hits: int = 0
    misses: int = 0
    invalidations: int = 0
    """Values that were dropped because they were written, or may have been."""
    resets: int = 0
    """Times that everything was dropped, because changes may have been missed."""
    evictions: int = 0
    """Values that were dropped because others needed their room."""
    size: int = 0
    """Bytes."""
    keys: int = 0
    proven_at: float = 0.0
    """Time of `monotonic`: every change that was complete by then has been taken; 0: there is no proof now."""


class _Entry(Struct, gc=False):
    found: StoredValue
    good_until: float
    """Time of `monotonic`."""
    size: int


class _Reads(Struct):
    """The reads of one key that are in flight."""

    number: int = 0
    barrier: int = 0
    """Only what reads after this one return may be kept."""


class CachedValues:
    """The values of one store, by stored key, least recently used first."""

    def __init__(self, max_bytes: int, max_age_s: float):
        self.counts = CacheCounts()
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._sizes = 0
        """Bytes of all entries, without the table."""
        self._reads: dict[str, _Reads] = {}
        self._last_read = 0
        self._barrier = 0
        """Only what reads after this one return may be kept, whatever the key."""
        self._valid_until = 0.0

    # --- reads --------------------------------------------------------------------------------------------------------

    def get(self, key: str) -> StoredValue | None:
        """Return a value that may be served now; None if there is none."""
        now = monotonic()
        if now >= self._valid_until:
            self._expire()
        entry = self._entries.get(key)
        if entry is None:
            self.counts.misses += 1
            return None
        if now >= entry.good_until:
            self._drop(key)
            self.counts.misses += 1
            return None
        self._entries.move_to_end(key)
        self.counts.hits += 1
        return entry.found

    def begin_read(self, key: str) -> int:
        """Note that the database is read; return a number for `end_read`."""
        self._last_read = number = self._last_read + 1
        reads = self._reads.get(key)
        if reads is None:
            reads = self._reads[key] = _Reads()
        reads.number += 1
        return number

    def end_read(self, key: str, number: int, found: StoredValue | None, *, may_keep: bool) -> None:
        """Take the result of a read, before anybody else sees it. It is kept if that is safe, and `may_keep`."""
        reads = self._end(key)
        entry = self._entries.get(key)
        if entry is not None:
            if found is None or found.etag != entry.found.etag or not found.etag:
                # Either of the two may be the newer one.
                self._invalidate(key, reads)
            return
        is_safe = number > max(reads.barrier, self._barrier) and monotonic() < self._valid_until
        if found is None or not (may_keep and is_safe and self._keep(key, found)):
            reads.barrier = self._last_read  # reads that began before may return something older

    def fail_read(self, key: str) -> None:
        """Note that a read has ended without a result."""
        self._end(key)

    def _end(self, key: str) -> _Reads:
        reads = self._reads[key]
        reads.number -= 1
        if not reads.number:
            del self._reads[key]
        return reads

    def _keep(self, key: str, found: StoredValue) -> bool:
        now = monotonic()
        good_until = now + self._max_age_s
        if found.expires_at is not None:
            good_until = min(good_until, now + found.expires_at - time() - EXPIRY_MARGIN_S)
        size = _size_of(key, found)
        if size > self._max_bytes // LARGEST_PART or good_until <= now or not found.etag:
            return False
        self._entries[key] = _Entry(found, good_until, size)
        self._sizes += size
        while self._size() > self._max_bytes and self._entries:
            self._evict()
        self._note_size()
        return key in self._entries

    def _evict(self) -> None:
        key, entry = self._entries.popitem(last=False)
        self._sizes -= entry.size
        self.counts.evictions += 1
        self._raise_barrier(key)  # a read that began before may return something older than what was served

    # --- what makes values old ----------------------------------------------------------------------------------------

    def invalidate(self, key: str) -> None:
        """Forget a key that is being written, or was, or may have been."""
        self._invalidate(key, self._reads.get(key))

    def invalidate_all_of(self, writes: Sequence[Write]) -> None:
        """Forget the keys of several writes."""
        for write in writes:
            self.invalidate(write.key)

    def take_change(self, key: str, etag: str | None) -> None:
        """Take a reported change: the ETag is new; UNREAD: not known; None: the key is gone."""
        entry = self._entries.get(key)
        if entry is None or etag in (None, UNREAD) or entry.found.etag != etag:
            self.invalidate(key)

    def prove(self, as_of: float, bound_s: float) -> None:
        """Serve values for so many seconds after a time of `monotonic`, up to which all changes have been taken."""
        if monotonic() >= self._valid_until:
            self._expire()
        self._valid_until = as_of + bound_s
        self.counts.proven_at = as_of

    def reset(self) -> None:
        """Forget everything, because changes may have been missed; serve nothing until there is another proof."""
        self._valid_until = self.counts.proven_at = 0.0
        self._expire()

    def _expire(self) -> None:
        self._barrier = self._last_read
        if self._entries:
            self.counts.resets += 1
            self._entries.clear()
            self._sizes = 0
            self._note_size()

    def _invalidate(self, key: str, reads: _Reads | None) -> None:
        if key in self._entries:
            self._drop(key)
            self.counts.invalidations += 1
        if reads is not None:
            reads.barrier = self._last_read

    def _drop(self, key: str) -> None:
        self._sizes -= self._entries.pop(key).size
        self._raise_barrier(key)
        self._note_size()

    def _raise_barrier(self, key: str) -> None:
        reads = self._reads.get(key)
        if reads is not None:
            reads.barrier = self._last_read

    def _size(self) -> int:
        return self._sizes + sys.getsizeof(self._entries)

    def _note_size(self) -> None:
        self.counts.size = self._size()
        self.counts.keys = len(self._entries)


_ENTRY: Final = sys.getsizeof(_Entry(None, 0.0, 0)) + sys.getsizeof(0.0) + sys.getsizeof(2**30)  # type: ignore[arg-type]


def _size_of(key: str, found: StoredValue) -> int:
    """Return the bytes that an entry takes beside its place in the table."""
    objects = sys.getsizeof(key) + sys.getsizeof(found) + sys.getsizeof(found.value) + sys.getsizeof(found.etag)
    expiry = 0 if found.expires_at is None else sys.getsizeof(found.expires_at)
    return _ENTRY + objects + expiry + ALLOCATION
