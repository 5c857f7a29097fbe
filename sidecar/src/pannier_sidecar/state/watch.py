"""One watch: what it yields, and when."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from .errors import StoreError
from .following import FIRST_PAUSE_S, MAX_PAUSE_S
from .watch_buffer import KEY_BYTES, Buffer, KeyUpdate, with_value, without_value
from .watch_events import UNFINISHED, Beat, Changed, Deleted, Ready, Reset, StateFound
from .watch_starts import CatchUp, StateReading

if TYPE_CHECKING:
    from .bytes_in_flight import BytesInFlight
    from .watch_buffer import Held
    from .watch_events import EventId, WatchEvent, WatchObserver, WatchRequest
    from .watch_hub import WatchHub

BEAT_S: Final = 15.0
"""Seconds without an event, after which there is a Beat."""
READ_TOGETHER: Final = 20
"""Maximum of values that one watch reads together."""
TOO_SLOW: Final = "more keys changed than may wait to be sent"
NOT_KNOWN: Final = "what has changed since then is not known any more"


class Watch:
    """An async iterator of WatchEvent. It may be closed by another task than the one that iterates.

    It begins in one of three ways: by reading the state; by what the hub knows that the client has missed; or, by the
    store's position, with a feed of its own for what was missed.
    """

    def __init__(
        self,
        hub: WatchHub,
        request: WatchRequest,
        held: Held,
        observer: WatchObserver,
        bytes_in_flight: BytesInFlight,
    ):
        self.prefix = request.prefix
        self.values = request.values
        self._hub = hub
        self._held = held
        self._observer = observer
        self._bytes_in_flight = bytes_in_flight
        self._queue: deque[WatchEvent] = deque()
        """What is yielded before anything that waits in the buffer."""
        self._buffer = Buffer(held)
        self._start: StateReading | CatchUp | None = None
        """What has to be read before changes can be yielded."""
        self._begins_at = 0.0
        """Changes are yielded when the hub has proof of this time."""
        self._reset: str | None = None
        """Why the next event is a Reset."""
        self._pause = FIRST_PAUSE_S
        self._retry_at = 0.0
        self._failing_since: float | None = None
        self._is_ended = False
        self._woken = asyncio.Event()

    # --- what the hub reports -----------------------------------------------------------------------------------------

    def add(self, update: KeyUpdate) -> None:
        """Take an update of a key with the prefix."""
        if self._reset is not None or self._is_ended:
            return
        if self._buffer.add(update if self.values else without_value(update)):
            self._woken.set()
        else:
            self.reset(TOO_SLOW)

    def reset(self, reason: str) -> None:
        """Begin again with the state, because something may have been missed."""
        self._forget()
        self._start = None
        self._reset = reason
        self._woken.set()

    def wake(self) -> None:
        """Ask the hub again: it follows again, has proof of a later time, or has ended."""
        if self._buffer or self._start is not None or self._hub.ended is not None:
            self._woken.set()

    # --- its beginning and its end ------------------------------------------------------------------------------------

    def begin(self, since: EventId | None) -> None:
        """Begin with the state or, if that is possible, with what came after an earlier event."""
        if since is None:
            self._begin_with_state()
            return
        missed = self._hub.missed_since(since)
        if missed is not None:
            self._queue_event(Ready(str(since)))
            for update in missed:
                if update.key.startswith(self.prefix):
                    self.add(update)
        elif since.position is not None:
            self._start = CatchUp(self._hub, self.prefix, since)
        else:
            self.reset(NOT_KNOWN)

    def _begin_with_state(self) -> None:
        self._start = StateReading(self._hub, self.prefix, self._bytes_in_flight, values=self.values)

    def end(self) -> None:
        """Yield no more: the iteration ends without an error."""
        self._is_ended = True
        self._forget()
        self._woken.set()

    async def aclose(self) -> None:
        """End the watch, and free what it holds."""
        self.end()

    def _forget(self) -> None:
        self._buffer.clear()
        for event in self._queue:
            self._held.add(-_size_of(event))
        self._queue.clear()

    # --- iterating ----------------------------------------------------------------------------------------------------

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> WatchEvent:
        """Return the next event. Raises a StateError if there will be none, such as StoreNotFoundError."""
        beat_at = monotonic() + BEAT_S
        while True:
            self._woken.clear()
            if self._is_ended:
                raise StopAsyncIteration
            if self._hub.ended is not None:
                raise self._hub.ended
            event = self._at_hand()
            if event is None and monotonic() >= beat_at:
                event = Beat(str(self._hub.place), self._lateness())
            if event is not None:
                self._observer.event_yielded(self._hub.name, event, monotonic() - self._hub.as_of)
                return event
            await self._advance(beat_at)

    def _at_hand(self) -> WatchEvent | None:
        """Return the next event, None if something must be read or happen first."""
        if self._reset is not None:
            reason, self._reset = self._reset, None
            self._begin_with_state()
            return Reset(str(UNFINISHED), reason)
        if self._queue:
            event = self._queue.popleft()
            self._held.add(-_size_of(event))
            return event
        if self._may_take() and not self._buffer.first_unread(1, values=self.values):
            return self._event_of(self._buffer.take())
        return None

    def _may_take(self) -> bool:
        return self._start is None and bool(self._buffer) and self._hub.as_of >= self._begins_at

    async def _advance(self, until: float) -> None:
        """Read what is needed for the next event, or wait for one."""
        now = monotonic()
        has_to_read = self._hub.is_following if self._start is not None else self._may_take()
        if has_to_read and now >= self._retry_at:
            try:
                await (self._read_start() if self._start is not None else self._read_values())
            except StoreError:
                self._failing_since = self._failing_since or now
                self._retry_at = monotonic() + self._pause
                self._pause = min(2 * self._pause, MAX_PAUSE_S)
            else:
                self._failing_since, self._pause = None, FIRST_PAUSE_S
            return
        seconds = (min(until, self._retry_at) if has_to_read else until) - now
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0)):
                await self._woken.wait()

    async def _read_start(self) -> None:
        """Read more of what the watch begins with. Raises StoreError if the store can't be reached."""
        start = self._start
        assert start is not None
        events = await start.read()
        if self._start is not start or self._is_ended:
            return  # something was lost meanwhile
        for event in events:
            self._queue_event(event)
        if not start.is_complete:
            return
        if start.lost is not None:
            self.reset(start.lost)
            return
        self._start = None
        self._begins_at = start.ended_at
        if not self._buffer.add_before(start.missed):
            self.reset(TOO_SLOW)

    async def _read_values(self) -> None:
        """Read the values of the first changes. Raises StoreError if the store can't be reached."""
        async with self._hub.reading:
            read = self._bytes_in_flight.begin()
            try:
                keys = self._buffer.first_unread(min(READ_TOGETHER, read.keys_together()), values=self.values)
                found = await self._hub.read(read, keys)
                if self._buffer:  # or something was lost meanwhile
                    for key, entry in found.items():
                        self._buffer.replace(with_value(self._buffer.get(key), entry))
            finally:
                read.end()

    def _queue_event(self, event: WatchEvent) -> None:
        self._queue.append(event)
        self._held.add(_size_of(event))

    def _event_of(self, update: KeyUpdate) -> WatchEvent:
        place, found = str(self._hub.place_of(update)), update.found
        if update.etag is None:
            return Deleted(place, update.key)
        if found is None or not self.values:
            return Changed(place, update.key, update.etag, error=update.error)
        return Changed(place, update.key, update.etag, found.value, found.expires_at)

    def _lateness(self) -> float:
        now = monotonic()
        age = now - self._hub.as_of
        failing = 0.0 if self._failing_since is None else now - self._failing_since
        return max(age if age > self._hub.lag_s else 0.0, failing)


def _size_of(event: WatchEvent) -> int:
    if isinstance(event, StateFound):
        return KEY_BYTES + len(event.key) + len(event.value or b"")
    return KEY_BYTES
