"""A store whose values are kept in memory, and kept right by the changes that the database reports.

Eventual reads are answered from memory; strong ones, and those with metadata, go to the database. Every read and write
passes here, so that none is contradicted: docs/near-cache.md has the promises. What is read to be kept is read
strongly, because a replica may be behind the changes that were reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from .delegating_store import DelegatingStore
from .errors import StoreError
from .feeds import Alive, Gap, KeyChange
from .wrapped_rest import WrappedRest

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from .cached_values import CachedValues
    from .feeds import Entry, ETagPage, Feed
    from .keys import KeyScheme
    from .prefilter import Needed
    from .requests import Delete, Get, Set, Write
    from .store import Completion, KeyPage, Store, StoredValue


class NearCache(DelegatingStore):
    """Answers eventual reads of the app's own keys from memory."""

    def __init__(self, inner: Store, cached: CachedValues, keys: KeyScheme):
        super().__init__(inner)
        self._cached = cached
        self._keys = keys

    @property
    def unretried(self) -> Store:
        unretried = self.inner.unretried
        return self if unretried is self.inner else NearCache(unretried, self._cached, self._keys)

    # --- reads --------------------------------------------------------------------------------------------------------

    def begin_get(self, get: Get, completion: Completion[StoredValue | None]) -> None:
        if not get.strong and not get.metadata:
            found = self._cached.get(get.key)
            if found is not None:
                completion.complete(found)
                return
            get = replace(get, strong=True)
        self.inner.begin_get(get, _Reading(self, get, completion))

    async def get(self, get: Get) -> StoredValue | None:
        if not get.strong and not get.metadata:
            found = self._cached.get(get.key)
            if found is not None:
                return found
            get = replace(get, strong=True)
        number = self._cached.begin_read(get.key)
        try:
            found = await self.inner.get(get)
        except BaseException:
            self._cached.fail_read(get.key)
            raise
        self.end_read(get, number, found)
        return found

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        """Read several keys: those that are not in memory, in one call of the database."""
        found: list[StoredValue | StoreError | None] = [
            None if get.strong or get.metadata else self._cached.get(get.key) for get in gets
        ]
        missing = [place for place, entry in enumerate(found) if entry is None]
        if missing:
            asked = [gets[place] if gets[place].metadata else replace(gets[place], strong=True) for place in missing]
            for place, entry in zip(missing, await self._read_each(asked), strict=True):
                found[place] = entry
        return found

    async def _read_each(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        numbers = [self._cached.begin_read(get.key) for get in gets]
        try:
            entries = await self.inner.bulk_get(gets)
        except BaseException:
            for get in gets:
                self._cached.fail_read(get.key)
            raise
        for get, number, entry in zip(gets, numbers, entries, strict=True):
            if isinstance(entry, StoreError):
                self._cached.fail_read(get.key)
            else:
                self.end_read(get, number, entry)
        return entries

    def end_read(self, get: Get, number: int, found: StoredValue | None) -> None:
        """Take the result of a read before anybody else sees it."""
        may_keep = not get.metadata and get.key.startswith(self._keys.prefix)
        may_keep = may_keep and self._keys.listed(get.key) is not None
        self._cached.end_read(get.key, number, found, may_keep=may_keep)

    def fail_read(self, get: Get) -> None:
        self._cached.fail_read(get.key)

    def begin_read(self, get: Get) -> int:
        return self._cached.begin_read(get.key)

    # --- writes: forgotten before they are sent, and again when they have ended in whatever way -----------------------

    def begin_write(self, write: Write, completion: Completion[None]) -> None:
        self._cached.invalidate(write.key)
        self.inner.begin_write(write, _Writing(self._cached, write.key, completion))

    async def set(self, write: Set) -> None:
        self._cached.invalidate(write.key)
        try:
            await self.inner.set(write)
        finally:
            self._cached.invalidate(write.key)

    async def delete(self, write: Delete) -> None:
        self._cached.invalidate(write.key)
        try:
            await self.inner.delete(write)
        finally:
            self._cached.invalidate(write.key)

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        self._cached.invalidate_all_of(writes)
        try:
            return await self.inner.bulk_write(writes)
        finally:
            self._cached.invalidate_all_of(writes)

    async def transact(self, writes: Sequence[Write]) -> None:
        self._cached.invalidate_all_of(writes)
        try:
            await self.inner.transact(writes)
        finally:
            self._cached.invalidate_all_of(writes)

    # --- the rest, and what it says of keys ---------------------------------------------------------------------------

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        return await self.inner.keys(prefix, limit, cursor)

    async def candidates(self, prefix: str, limit: int, cursor: str | None, needed: Needed) -> KeyPage:
        return await self.inner.candidates(prefix, limit, cursor, needed)

    async def etags(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        page = await self.inner.etags(prefix, limit, cursor)
        for entry in page.entries:
            self._cached.take_change(entry.key, entry.etag)
        return page

    async def feed(self, prefix: str, since: str | None = None) -> Feed:
        """Yield what the store's feed yields; what a watch learns there is not contradicted either."""
        inner = self.inner.feed(prefix, since)
        try:
            async for batch in inner:
                for entry in batch:
                    if isinstance(entry, KeyChange):
                        self._cached.take_change(entry.key, entry.etag)
                yield batch
        finally:
            await inner.aclose()


class _Reading:
    """Takes the result of a begun read, and passes it on."""

    __slots__ = ("_cache", "_completion", "_get", "_number")

    def __init__(self, cache: NearCache, get: Get, completion: Completion[StoredValue | None]):
        self._cache = cache
        self._get = get
        self._completion = completion
        self._number = cache.begin_read(get)

    def complete(self, result: StoredValue | None) -> None:
        self._cache.end_read(self._get, self._number, result)
        self._completion.complete(result)

    def resume(self, rest: Coroutine[Any, Any, StoredValue | None]) -> None:
        self._completion.resume(WrappedRest(rest, self._take, self._fail))

    def _take(self, result: StoredValue | None) -> StoredValue | None:
        self._cache.end_read(self._get, self._number, result)
        return result

    def _fail(self) -> None:
        self._cache.fail_read(self._get)


class _Writing:
    """Takes the end of a begun write, and passes it on."""

    __slots__ = ("_cached", "_completion", "_key")

    def __init__(self, cached: CachedValues, key: str, completion: Completion[None]):
        self._cached = cached
        self._key = key
        self._completion = completion

    def complete(self, result: None) -> None:
        self._cached.invalidate(self._key)
        self._completion.complete(result)

    def resume(self, rest: Coroutine[Any, Any, None]) -> None:
        self._completion.resume(WrappedRest(rest, self._take, self._fail))

    def _take(self, result: None) -> None:
        self._cached.invalidate(self._key)

    def _fail(self) -> None:
        self._cached.invalidate(self._key)


class CacheListener:
    """Keeps cached values right by a feed. Implements `following.Listener`."""

    def __init__(self, cached: CachedValues, bound_s: float):
        """`bound_s`: seconds after a proof of the feed for which values are served."""
        self._cached = cached
        self._bound_s = bound_s

    def feed_began(self) -> None:
        """Serve nothing of before: changes may have been missed."""
        self._cached.reset()

    def feed_failed(self, error: StoreError) -> None:
        self._cached.reset()

    async def take(self, batch: Sequence[Entry]) -> None:
        for entry in batch:
            if isinstance(entry, KeyChange):
                self._cached.take_change(entry.key, entry.etag)
            elif isinstance(entry, Gap):
                self._cached.reset()
            elif isinstance(entry, Alive):
                self._cached.prove(entry.as_of, self._bound_s)
