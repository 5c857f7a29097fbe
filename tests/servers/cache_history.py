"""Reads and writes through several sidecars whose stores are cached, and what the cache promises of them.

Each key has one writer at a time, so its versions have an order: the numbers that are its values. Of every read it is
checked, from what was known when it began, that it returned nothing older than
- what had been written through the same sidecar and was acknowledged;
- what any read through the same sidecar had returned;
- what had been acknowledged anywhere longer ago than the bound or, where the feed is lost, at all.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

from pannier_sidecar.state.cached_values import CachedValues
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError
from pannier_sidecar.state.following import follow
from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.near_cache import CacheListener, NearCache
from pannier_sidecar.state.polling import feed_of
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Store, StoredValue


@dataclass
class Key:
    """What is known of one key."""

    name: str
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    issued: int = 0
    deletions: set[int] = field(default_factory=set)
    acknowledged: list[tuple[float, int]] = field(default_factory=lambda: [(0.0, 0)])
    """When, and which version."""

    def known_at(self, time: float) -> int:
        """Return the last version that was acknowledged by a time."""
        return next(version for when, version in reversed(self.acknowledged) if when <= time)


class CachedStore:
    """A store whose values are held in memory as those of a sidecar's are, and the task that keeps them right."""

    def __init__(
        self, inner: Store, keys: KeyScheme, *, max_bytes: int = 2**20, max_age_s: float = 60, bound_s: float = 3.0
    ):
        self.cached = CachedValues(max_bytes, max_age_s)
        self.store = NearCache(inner, self.cached, keys)
        listener = CacheListener(self.cached, bound_s)
        self._task = asyncio.create_task(follow("s", "its cache", lambda: feed_of(inner, keys.prefix, 1.0), listener))

    @property
    def is_proven(self) -> bool:
        """Whether it is certain that no change was missed."""
        return self.cached.counts.proven_at > 0

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


class CacheHistory:
    """Calls random reads and writes through cached stores, and checks each read."""

    def __init__(self, stores: Sequence[Store], keys: Sequence[str], bound_s: float):
        self._stores = stores
        self._keys = [Key(name) for name in keys]
        self._bound_s = bound_s
        self.lost: set[int] = set()
        """The stores whose feeds are lost now, and for longer than it takes to notice."""
        self.reads = self.writes = 0
        self._seen: dict[tuple[int, str], int] = defaultdict(int)
        """The last version that each sidecar has returned, or written."""

    async def run(self, operations: int, clients: int = 12) -> None:
        """Make so many calls, by several clients at once."""
        rest = iter(range(operations))

        async def client() -> None:
            for _ in rest:
                await self._call()

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())

    async def _call(self) -> None:
        number, key = random.randrange(len(self._stores)), random.choice(self._keys)
        try:
            if random.random() < 0.2:
                await self._write(number, key)
            elif random.random() < 0.2:
                await self._read_several(number, random.sample(self._keys, min(3, len(self._keys))))
            else:
                await self._read(number, key, strong=random.random() < 0.1)
        except StoreError:
            await asyncio.sleep(0.002)

    async def _write(self, number: int, key: Key) -> None:
        store = self._stores[number]
        async with key.writing:
            key.issued += 1
            version = key.issued
            self.writes += 1
            try:
                if random.random() < 0.2:
                    key.deletions.add(version)
                    await store.delete(Delete(key.name))
                elif random.random() < 0.3:
                    await store.transact([Set(key.name, str(version).encode())])
                else:
                    await store.set(Set(key.name, str(version).encode()))
            except OutcomeUnknownError:
                await asyncio.sleep(0.05)  # it may be carried out yet; the next version comes after that
                raise
            key.acknowledged.append((monotonic(), version))
            self._saw(number, key, version)

    async def _read(self, number: int, key: Key, *, strong: bool) -> None:
        needed = self._needed(number, key, strong=strong)
        found = await self._stores[number].get(Get(key.name, strong))
        self._check(number, key, needed, found)

    async def _read_several(self, number: int, keys: Sequence[Key]) -> None:
        needed = [self._needed(number, key, strong=False) for key in keys]
        entries = await self._stores[number].bulk_get([Get(key.name) for key in keys])
        for key, least, entry in zip(keys, needed, entries, strict=True):
            if not isinstance(entry, StoreError):
                self._check(number, key, least, entry)

    def _needed(self, number: int, key: Key, *, strong: bool) -> int:
        """Return the oldest version that a read may return which begins now."""
        current = strong or number in self.lost
        bound = key.known_at(monotonic() - (0 if current else self._bound_s))
        return max(bound, self._seen[number, key.name])

    def _check(self, number: int, key: Key, needed: int, found: StoredValue | None) -> None:
        self.reads += 1
        if found is None:
            possible = [version for version in (*key.deletions, 0) if version >= needed]
            assert possible, f"{key.name} at {number}: absent, but version {needed} was known when the read began"
            self._saw(number, key, min(possible))
            return
        version = int(found.value)
        assert version >= needed, f"{key.name} at {number}: {version}, but {needed} was known when the read began"
        self._saw(number, key, version)

    def _saw(self, number: int, key: Key, version: int) -> None:
        self._seen[number, key.name] = max(version, self._seen[number, key.name])
