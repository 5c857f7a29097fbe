"""Holds values of a store in memory if its component asks for that; others import nothing of it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from pannier_crds.catalogue.near_cache import CACHE_MAX_AGE, CACHE_SIZE, parse_cache_size
from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.state.feeds import ChangesBy

if TYPE_CHECKING:
    from pannier_sidecar.loading.plans import DesiredStore
    from pannier_sidecar.state.cached_values import CacheCounts
    from pannier_sidecar.state.store import Store


class StoreCache:
    """The values of one open store that are held in memory, and what keeps them right."""

    def __init__(self, desired: DesiredStore, store: Store):
        """Begin to follow the changes of the store, which is open."""
        from pannier_sidecar.state.cached_values import CachedValues
        from pannier_sidecar.state.following import follow
        from pannier_sidecar.state.near_cache import CacheListener
        from pannier_sidecar.state.polling import feed_of, lag_of

        self._setup = _setup(desired)
        self._keys = desired.keys
        size, age, interval, prefix = self._setup
        self._cached = CachedValues(size, age)
        listener = CacheListener(self._cached, 2 * lag_of(store, interval) + 1)
        begin = partial(feed_of, store, prefix, interval)
        self._task = asyncio.create_task(
            follow(desired.name, "its cache", begin, listener), name=f"cache {desired.name}"
        )

    @property
    def counts(self) -> CacheCounts:
        return self._cached.counts

    def fits(self, desired: DesiredStore) -> bool:
        """Return whether the cache is the one that a component asks for."""
        return is_cached(desired) and self._setup == _setup(desired)

    def around(self, store: Store) -> Store:
        """Put the cache around a store."""
        from pannier_sidecar.state.near_cache import NearCache

        return NearCache(store, self._cached, self._keys)

    def end(self) -> None:
        """Forget all values, and follow no longer: reads go to the store."""
        self._task.cancel()
        self._cached.reset()

    async def close(self) -> None:
        """End it, and return when its feed is closed."""
        self.end()
        await asyncio.wait([self._task])


def is_cached(desired: DesiredStore) -> bool:
    """Return whether a component asks for values in memory."""
    return desired.settings.get(CACHE_SIZE) is not None


def require_changes(desired: DesiredStore, store: Store) -> None:
    """Raise StoreRefusedError if the component asks for values in memory and nothing could keep them right."""
    if is_cached(desired) and store.changes_by is ChangesBy.NONE:
        raise StoreRefusedError(
            f"{CACHE_SIZE} needs a store whose changes become known, and this one neither reports them nor lists its "
            f"keys; take {CACHE_SIZE} out of the component"
        )


def _setup(desired: DesiredStore) -> tuple[int, float, float, str]:
    """Return size, maximum age, interval of polling and prefix: whatever a cache is made for."""
    age = desired.settings[CACHE_MAX_AGE]
    assert isinstance(age, float)
    return parse_cache_size(str(desired.settings[CACHE_SIZE])), age, desired.poll_interval, desired.keys.prefix
