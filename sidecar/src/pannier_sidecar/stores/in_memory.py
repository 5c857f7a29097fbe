"""`state.in-memory`: state kept in this process, gone when it ends. For tests and for trying things out."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left, bisect_right
from heapq import heapify, heappop, heappush
from itertools import count
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from pannier_sidecar.state.cursors import cursor_after, key_before
from pannier_sidecar.state.errors import StoreError, StoreUnavailableError
from pannier_sidecar.state.feeds import ChangesBy
from pannier_sidecar.state.preconditions import mismatch
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.store import Feature, KeyPage, Setting, Store, StoredValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AsyncExitStack

    from pannier_sidecar.state.feeds import Feed
    from pannier_sidecar.state.local_feeds import LocalFeeds
    from pannier_sidecar.state.store import Completion

STORES = {"state.in-memory": "InMemoryStore"}

SWEEP_PAUSE_S: Final = 1.0
"""Minimum of seconds between two rounds in which expired values are dropped."""
SWEPT_AT_ONCE: Final = 1000
"""Values dropped before other calls get their turn: about a millisecond's work."""


class InMemoryStore(Store):
    """A dict. No method awaits anything between reading and writing, so each call is atomic."""

    features = frozenset(Feature)
    changes_by = ChangesBy.PUSH
    keeps_expiry = True

    def __init__(self, settings: Mapping[str, Setting]):
        """Take the component's settings, of which there are none."""
        super().__init__(settings)
        self._values: dict[str, StoredValue] = {}
        self._expiry = _Expiry(self._drop)
        self._names = _Names()
        # ETags are numbers from a random start, so that they do not repeat those of an earlier run. Below 2^53 they
        # survive clients that put them into JSON without quotes.
        self._etags = count(random.randrange(1, 2**52))
        self._is_open = False
        self._ahead_s = 0.0
        """Seconds by which `advance` has moved the time that values expire by."""
        self._feeds: LocalFeeds | None = None
        """Made for the first feed."""

    async def _open(self, resources: AsyncExitStack) -> None:
        self._is_open = True
        resources.callback(self._forget)

    def _forget(self) -> None:
        self._is_open = False
        self._expiry.clear()
        self._values.clear()
        self._names = _Names()
        if self._feeds is not None:
            self._feeds.close()
            self._feeds = None

    def advance(self, seconds: float) -> None:
        """Let values expire as if so many seconds had passed: apps' tests need not wait (`pannier.testing`)."""
        self._ahead_s += seconds
        self._expiry.advance(seconds)

    async def ping(self) -> None:
        self._check_open()

    async def probe(self) -> None:
        """Return at once: the store is in this process."""

    async def get(self, get: Get) -> StoredValue | None:
        self._check_open()
        return self._live(get.key)

    def begin_get(self, get: Get, completion: Completion[StoredValue | None]) -> None:
        if self._is_open:
            completion.complete(self._live(get.key))
        else:
            super().begin_get(get, completion)

    def begin_write(self, write: Write, completion: Completion[None]) -> None:
        if self._try(write) is None:
            completion.complete(None)
        else:  # nothing was written, so the general way fails with the same error
            super().begin_write(write, completion)

    async def set(self, write: Set) -> None:
        self._check_open()
        self._check(write)
        self._put(write)

    async def delete(self, write: Delete) -> None:
        self._check_open()
        self._check(write)
        self._drop(write.key)

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | None]:
        self._check_open()
        return [self._live(get.key) for get in gets]

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        return [self._try(write) for write in writes]

    async def transact(self, writes: Sequence[Write]) -> None:
        self._check_open()
        for write in writes:
            self._check(write)
        for write in writes:
            self._carry_out(write)

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        self._check_open()
        names: list[str] = []
        after = None if cursor is None else key_before(cursor, prefix)
        for name in self._names.following(prefix, after, self._values):
            if self._live(name) is None:
                continue
            if len(names) == limit:
                return KeyPage(names, cursor_after(names[-1]))
            names.append(name)
        return KeyPage(names, None)

    def feed(self, prefix: str, since: str | None = None) -> Feed:
        if self._feeds is None:
            from pannier_sidecar.state.local_feeds import LocalFeeds  # most stores are never watched

            self._feeds = LocalFeeds()
            if not self._is_open:
                self._feeds.close()
        return self._feeds.follow(prefix, since, self.feed_lag_s)

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreUnavailableError("the in-memory store is not open")

    def _live(self, key: str) -> StoredValue | None:
        found = self._values.get(key)
        if found is None or found.expires_at is None or self._expiry.is_alive(key):
            return found
        return None

    def _check(self, write: Write) -> None:
        """Raise ETagMismatchError if the precondition does not hold."""
        if write.if_match is None and not write.if_absent:
            return
        found = self._live(write.key)
        if error := mismatch(write, None if found is None else found.etag):
            raise error

    def _try(self, write: Write) -> StoreError | None:
        try:
            self._check_open()
            self._check(write)
        except StoreError as error:
            return error
        self._carry_out(write)
        return None

    def _carry_out(self, write: Write) -> None:
        if isinstance(write, Set):
            self._put(write)
        else:
            self._drop(write.key)

    def _put(self, write: Set) -> None:
        key = write.key
        if key not in self._values:
            self._names.added(key)
        expires_at: int | None = None
        if write.kept_expiry is not None:
            expires_at = self._values[key].expires_at
        elif write.ttl is None:
            self._expiry.forget(key)
        else:
            self._expiry.remember(key, write.ttl)
            expires_at = round(time() + self._ahead_s + write.ttl)
        etag = str(next(self._etags))
        self._values[key] = StoredValue(write.value, etag, expires_at)
        if self._feeds is not None:
            self._feeds.report(key, etag)

    def _drop(self, key: str) -> None:
        dropped = self._values.pop(key, None)
        self._expiry.forget(key)
        if self._feeds is not None and dropped is not None:
            self._feeds.report(key, None)


class _Expiry:
    """When values expire, and the one timer that drops those that have."""

    def __init__(self, drop: Callable[[str], None]):
        self._drop = drop
        self._deadlines: dict[str, float] = {}
        """Monotonic time of each key that expires."""
        self._queue: list[tuple[float, str]] = []
        """Heap of deadlines; those that a later write has changed are skipped."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def is_alive(self, key: str) -> bool:
        return self._deadlines[key] > monotonic()

    def remember(self, key: str, ttl: int) -> None:
        deadline = monotonic() + ttl
        self._deadlines[key] = deadline
        if len(self._queue) > 2 * len(self._deadlines) + SWEPT_AT_ONCE:  # keys written again and again
            self._queue = [(at, name) for name, at in self._deadlines.items()]
            heapify(self._queue)
        else:
            heappush(self._queue, (deadline, key))
        if self._timer is None or deadline + SWEEP_PAUSE_S < self._timer_at:
            self._wait(ttl + SWEEP_PAUSE_S)

    def forget(self, key: str) -> None:
        if self._deadlines:
            self._deadlines.pop(key, None)

    def advance(self, seconds: float) -> None:
        if self._deadlines:
            self._deadlines = {key: deadline - seconds for key, deadline in self._deadlines.items()}
            self._queue = [(deadline, key) for key, deadline in self._deadlines.items()]
            heapify(self._queue)
            self._wait(0)

    def clear(self) -> None:
        self._deadlines.clear()
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = monotonic() + seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = monotonic()
        for _ in range(SWEPT_AT_ONCE):
            if not self._queue or self._queue[0][0] > now:
                break
            deadline, key = heappop(self._queue)
            if self._deadlines.get(key) == deadline:
                self._drop(key)
        if self._queue:
            ahead = self._queue[0][0] - now
            self._wait(ahead + SWEEP_PAUSE_S if ahead > 0 else 0)


class _Names:
    """The keys in order: sorted when they are first listed, and kept sorted from then on."""

    def __init__(self) -> None:
        self._sorted: list[str] | None = None
        self._added: list[str] = []

    def added(self, name: str) -> None:
        if self._sorted is not None:
            self._added.append(name)

    def following(self, prefix: str, after: str | None, present: Mapping[str, object]) -> Iterator[str]:
        """Yield the names with this prefix that come after `after`, without those that were deleted."""
        names = self._in_order(present)
        first = bisect_left(names, prefix) if after is None else bisect_right(names, after)
        for place in range(first, len(names)):
            name = names[place]
            if not name.startswith(prefix):
                break
            if name in present:
                yield name

    def _in_order(self, present: Mapping[str, object]) -> list[str]:
        if self._sorted is None or len(self._sorted) > 2 * len(present) + SWEPT_AT_ONCE:
            self._sorted = sorted(present)
        elif self._added:
            # A deleted key that came back is in there twice; two sorted runs are merged in linear time.
            self._sorted = sorted(dict.fromkeys(self._sorted + sorted(self._added)))
        self._added.clear()
        return self._sorted
