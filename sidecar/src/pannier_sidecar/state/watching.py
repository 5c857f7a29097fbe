"""Watches: the state of the app's own keys with a prefix as it is, then what changes. Imported with the first watch.

A watch listens to the hub of its store before it reads the state, so nothing in between is lost. What changed meanwhile
waits until the hub has proof of a time after the state was read: by then it has the state that was read, or a later
one. So a watch never yields an older state of a key after a newer one.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from .errors import OperationFailedError, StoreError
from .errors.of_watches import TooManyWatchesError, WatchNotSupportedError
from .watch import Watch
from .watch_events import Unobserved, WatchObserver, read_event_id
from .watch_hub import WatchHub, can_be_watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .bytes_in_flight import BytesInFlight, Held
    from .directory import ServedStore
    from .watch_events import WatchRequest
    from .watch_hub import Calls

MAX_WATCHES: Final = 1000
"""Maximum of watches of one sidecar."""
MAX_HELD: Final = 64 * 1024 * 1024
"""Bytes that all watches together hold; beyond it, values are read again when their turn comes."""
LINGER_S: Final = 15.0
"""Seconds for which the changes of a store are followed after its last watch, so that it can go on where it was."""


class HeldByWatches:
    """Counts what all watches hold, as a part of what all clients make the sidecar hold."""

    def __init__(self, budget: Held):
        self._budget = budget
        self._size = 0

    def add(self, size: int) -> None:
        self._size += size
        self._budget.held += size
        if size > 0 and self._budget.held > self._budget.limit:
            self._budget.relieve()

    @property
    def is_full(self) -> bool:
        return self._size > MAX_HELD or self._budget.held > self._budget.limit // 4 * 3


class Watching:
    """All watches of a sidecar."""

    def __init__(self, calls: Calls, bytes_in_flight: BytesInFlight, budget: Held):
        self.observer: WatchObserver = Unobserved()
        self.maximum = MAX_WATCHES
        """Maximum of watches at the same time."""
        self._calls = calls
        self._bytes_in_flight = bytes_in_flight
        self._held = HeldByWatches(budget)
        self._hubs: dict[str, WatchHub] = {}
        self._watches: set[Watch] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @asynccontextmanager
    async def watch(self, request: WatchRequest) -> AsyncIterator[Watch]:
        """Watch, until the context ends; the watch is an async iterator of WatchEvent.

        Raises StoreNotFoundError, StoreNotReadyError, WatchNotSupportedError, TooManyWatchesError,
        MalformedRequestError for an id that no event has, and OperationFailedError if changes can't be followed now.
        """
        served = self._calls.directory.find(request.store)
        if not can_be_watched(served):
            raise WatchNotSupportedError(served.name)
        since = None if not request.since else read_event_id(request.since)
        if len(self._watches) >= self.maximum:
            raise TooManyWatchesError(self.maximum)
        hub = self._hub_of(served)
        watch = Watch(hub, request, self._held, self.observer, self._bytes_in_flight)
        self._join(hub, watch)
        try:
            try:
                await hub.wait_until_begun()
            except StoreError as error:
                what = f"failed watching state store {served.name}"
                raise OperationFailedError("ERR_STATE_WATCH", what, [(request.prefix, error)]) from error
            watch.begin(since)
            yield watch
        finally:
            await watch.aclose()
            self._leave(hub, watch)

    def directory_changed(self) -> None:
        """Go on with the stores that are served now."""
        for hub in self._hubs.values():
            hub.follow_directory(self._calls.directory)

    async def close(self) -> None:
        """End all watches, without an error, and all feeds."""
        self._is_closed = True
        for watch in list(self._watches):
            watch.end()
        hubs, self._hubs = self._hubs, {}
        for hub in hubs.values():
            await hub.stop()
        if self._ending:
            await asyncio.wait(self._ending)

    def _hub_of(self, served: ServedStore) -> WatchHub:
        hub = self._hubs.get(served.name)
        if hub is None or hub.ended is not None:
            hub = self._hubs[served.name] = WatchHub(served, self._calls, self._bytes_in_flight)
        return hub

    def _join(self, hub: WatchHub, watch: Watch) -> None:
        self._watches.add(watch)
        hub.watchers.add(watch)
        self.observer.watches_changed(hub.name, len(hub.watchers))

    def _leave(self, hub: WatchHub, watch: Watch) -> None:
        self._watches.discard(watch)
        hub.watchers.discard(watch)
        self.observer.watches_changed(hub.name, len(hub.watchers))
        if not hub.watchers and not self._is_closed:
            asyncio.get_running_loop().call_later(LINGER_S, self._end_if_unused, hub)

    def _end_if_unused(self, hub: WatchHub) -> None:
        if hub.watchers or self._hubs.get(hub.name) is not hub:
            return
        del self._hubs[hub.name]
        task = asyncio.create_task(hub.stop(), name=f"stop watching {hub.name}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
