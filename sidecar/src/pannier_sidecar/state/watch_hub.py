"""Follows the changes of one store for all who watch it: one feed, however many they are.

The feed is begun for the first watch, and ends some seconds after the last one. When it fails it is begun again, after
pauses. If changes may have been missed meanwhile, a new epoch begins, and every watch starts again with a Reset.

Values are read here, once for all watches that want them. Reads and the updates that are made of them happen one after
another, and reads are strong, so no watch yields an older state of a key after a newer one.
"""

from __future__ import annotations

import asyncio
import os
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from .errors import StateError, StoreError, is_unreached
from .errors.of_watches import WatchNotSupportedError
from .feeds import UNREAD, Alive, ChangesBy, Gap, KeyChange
from .following import follow
from .polling import feed_of, lag_of
from .requests import Get
from .store import Feature, StoredValue
from .watch_buffer import KeyUpdate, Ring, with_value, without_value
from .watch_events import UNFINISHED, EventId

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from .bytes_in_flight import BytesInFlight, Read
    from .directory import Directory, ServedStore
    from .feeds import Entry, Feed
    from .store import Store

Result = TypeVar("Result")

MAX_READ_AHEAD: Final = 20_000
"""Maximum of keys that were read, and of which the feed may still report something older."""


class Calls(Protocol):
    """What is needed of the service: it keeps a store open during a call, and counts the call."""

    directory: Directory

    async def counted(self, served: ServedStore, operation: str, call: Coroutine[Any, Any, Any]) -> Any:
        """Await a call of a store. Raises its StoreError."""


class Watcher(Protocol):
    """One who follows the hub."""

    prefix: str
    """The beginning of the app's keys that it wants."""
    values: bool

    def add(self, update: KeyUpdate) -> None:
        """Take an update of a key with the prefix."""

    def reset(self, reason: str) -> None:
        """Begin again: something may have been missed."""

    def wake(self) -> None:
        """Ask the hub again: it has proof of a later time, or has ended."""


class WatchHub:
    """The changes of one store."""

    def __init__(self, served: ServedStore, calls: Calls, bytes_in_flight: BytesInFlight):
        self.name = served.name
        self.served = served
        self.watchers: set[Watcher] = set()
        self.as_of = 0.0
        """Time of `monotonic`: every change that was complete by then is known here; 0: the feed has not begun."""
        self.is_following = False
        """Whether a feed goes on. What is read before one has begun may change unnoticed."""
        self.failure: StoreError | None = None
        """Why the feed could not be begun, or broke off; None while it goes on."""
        self.ended: StateError | None = None
        """Why there will be no further changes."""
        self.reading = asyncio.Lock()
        """Held while values are read and updates are made of them."""
        self.catching_up = asyncio.Semaphore(4)
        """Held by watches that have a feed of their own for what they have missed."""
        self._calls = calls
        self._bytes_in_flight = bytes_in_flight
        self._ring = Ring()
        self._epoch = _new_epoch()
        self._number = 0
        self._position: str | None = None
        self._has_followed = False
        self._lost: str | None = None
        """Why changes may be missed before the next feed begins, unless it goes on from a position."""
        self._read_ahead: dict[str, float] = {}
        """When keys were read, in this order, if the feed may still report something older of them."""
        self._changed = asyncio.Event()
        self._task = self._begin_to_follow()

    def _begin_to_follow(self) -> asyncio.Task[None]:
        return asyncio.create_task(follow(self.name, "watches", self._begin_feed, self), name=f"watch {self.name}")

    @property
    def place(self) -> EventId:
        """Where the events are now."""
        return EventId(self._epoch, self._number, self._position)

    def place_of(self, update: KeyUpdate) -> EventId:
        epoch = self._epoch if update.number else UNFINISHED.epoch
        return EventId(epoch, update.number, update.position)

    @property
    def lag_s(self) -> float:
        """Seconds by which the proof of what is known may lag while all is well."""
        return 2 * lag_of(self.served.store, self.served.poll_interval) + 1

    async def wait_until_begun(self) -> None:
        """Wait until the feed goes on. Raises StoreError if it cannot be begun, or StateError if the hub has ended."""
        while not (self.is_following or self.failure or self.ended):
            await self._changed.wait()
        if self.ended is not None:
            raise self.ended
        if self.failure is not None:
            raise self.failure

    def missed_since(self, place: EventId) -> list[KeyUpdate] | None:
        """Return the changes after a place, None if they are not known here."""
        if place.epoch != self._epoch or not self._ring.knows(place.number):
            return None
        return list(self._ring.after(place.number))

    def follow_directory(self, directory: Directory) -> None:
        """Go on with the store that has the name now, if it is another one."""
        served = directory.served.get(self.name)
        if served is self.served:
            return
        if served is not None:
            self.served = served
            self._restart()
        elif not directory.knows(self.name):
            try:
                directory.find(self.name)
            except StateError as error:
                self.end(error)

    def end(self, why: StateError) -> None:
        """Follow no longer; watches end with this error."""
        self.ended = why
        self._task.cancel()
        self._notify()

    async def stop(self) -> None:
        """Free the feed."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def _restart(self) -> None:
        self._task.cancel()
        if not can_be_watched(self.served):
            self.end(WatchNotSupportedError(self.name))
            return
        self.is_following, self.failure = False, None
        self._lost, self._position = "the component has changed", None
        self._task = self._begin_to_follow()

    def _begin_feed(self) -> Feed:
        served = self.served
        return feed_of(served.store, served.keys.prefix, served.poll_interval, self._position)

    def feed_began(self) -> None:
        if self._has_followed and self._position is None:
            self._lose(self._lost or "the connection to the database was lost")
        self.is_following, self.failure, self._lost = True, None, None
        self._has_followed = True
        self._notify()

    def feed_failed(self, error: StoreError) -> None:
        self.is_following, self.failure = False, error
        self._notify()

    async def take(self, batch: Sequence[Entry]) -> None:
        """Pass on what a batch of the feed says, in its order. Raises StoreError if values can't be read."""
        changes: dict[str, KeyChange] = {}
        for entry in batch:
            if isinstance(entry, KeyChange):
                key = self.served.keys.listed(entry.key)
                if key is not None:
                    changes.pop(key, None)  # the last change of a key counts, in its place
                    changes[key] = entry
                elif entry.position is not None and not changes:
                    self._position = entry.position
            elif isinstance(entry, Gap):
                changes.clear()  # all watches begin again anyway
                self._lose(entry.reason)
            else:
                await self._pass_on(changes)
                changes = {}
                self._prove(entry)
        await self._pass_on(changes)

    def _prove(self, alive: Alive) -> None:
        self.as_of = alive.as_of
        while self._read_ahead and next(iter(self._read_ahead.values())) <= alive.as_of:
            del self._read_ahead[next(iter(self._read_ahead))]
        if alive.position is not None:
            self._position = alive.position
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed.clear()
        for watcher in self.watchers:
            watcher.wake()

    def _lose(self, reason: str) -> None:
        """Begin a new epoch, because changes may have been missed."""
        self._epoch = _new_epoch()
        self._ring.begin(self._number)
        self._position = None
        self._read_ahead.clear()
        for watcher in self.watchers:
            watcher.reset(reason)

    async def _pass_on(self, changes: Mapping[str, KeyChange]) -> None:
        """Publish changes in their order. Raises StoreError if values can't be read; then the rest is not published."""
        rest = list(changes.items())
        async with self.reading:
            while rest:
                read = self._bytes_in_flight.begin()
                try:
                    together, rest = rest[: read.keys_together()], rest[read.keys_together() :]
                    wanted = [key for key, change in together if self._must_be_read(key, change)]
                    found = await self.read(read, wanted)
                    for key, change in together:
                        self._publish(self._updated(key, change, found))
                finally:
                    read.end()

    def _must_be_read(self, key: str, change: KeyChange) -> bool:
        if change.etag == UNREAD or key in self._read_ahead:
            return True
        return any(each.values and key.startswith(each.prefix) for each in self.watchers)

    async def call(self, operation: str, call: Coroutine[Any, Any, Result]) -> Result:
        """Await a call of the store. Raises its StoreError."""
        result: Result = await self._calls.counted(self.served, operation, call)
        return result

    async def read(self, read: Read, keys: Sequence[str]) -> Mapping[str, StoredValue | StoreError | None]:
        """Return what is stored under the app's keys, as the last write has left it; it is counted until `read` ends.

        Raises StoreError if the store can't be reached. The entry of a key that can't be read is its error.
        """
        if not keys:
            return {}
        reserved = await read.reserve(len(keys))
        prefix, store = self.served.keys.prefix, self.served.store
        entries = await self.call("bulk_get", bulk_get(store, [Get(prefix + key, strong=True) for key in keys]))
        sizes = [len(entry.value) for entry in entries if isinstance(entry, StoredValue)]
        read.settle(reserved, sum(sizes), max(sizes, default=0))
        self._note_read(keys)
        return dict(zip(keys, entries, strict=True))

    def _note_read(self, keys: Sequence[str]) -> None:
        """Remember that these keys are known as they are now, whatever the feed has yet to report."""
        now = monotonic()
        for key in keys:
            self._read_ahead.pop(key, None)
            self._read_ahead[key] = now
        if len(self._read_ahead) > MAX_READ_AHEAD:
            self._lose("the database reports changes later than they happen")

    def _updated(self, key: str, change: KeyChange, found: Mapping[str, StoredValue | StoreError | None]) -> KeyUpdate:
        self._number += 1
        if change.position is not None:
            self._position = change.position
        update = KeyUpdate(key, self._number, self._position, change.etag)
        return with_value(update, found[key]) if key in found else update

    def _publish(self, update: KeyUpdate) -> None:
        self._ring.add(without_value(update))
        for watcher in self.watchers:
            if update.key.startswith(watcher.prefix):
                watcher.add(update)


async def bulk_get(store: Store, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
    """Read several keys. Raises StoreError if the store can't be reached for one of them."""
    entries = await store.bulk_get(gets)
    for entry in entries:
        if isinstance(entry, StoreError) and is_unreached(entry):
            raise entry
    return entries


def can_be_watched(served: ServedStore) -> bool:
    """Return whether a store's changes become known, and its keys can be enumerated."""
    return served.store.changes_by is not ChangesBy.NONE and served.supports(Feature.KEYS_LIKE)


def _new_epoch() -> str:
    return os.urandom(4).hex()
