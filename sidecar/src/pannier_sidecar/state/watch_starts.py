"""What a watch reads before its first change: the state, or what it has missed since a position of the store."""

from __future__ import annotations

from contextlib import aclosing
from time import monotonic
from typing import TYPE_CHECKING, Final

from .errors import InvalidCursorError, StoreError
from .feeds import Alive, Gap, KeyChange
from .polling import feed_of
from .watch_buffer import MAX_KEYS, KeyUpdate
from .watch_events import UNFINISHED, Ready, StateFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .bytes_in_flight import BytesInFlight
    from .feeds import Entry, ETagPage
    from .store import KeyPage, StoredValue
    from .watch_events import EventId, WatchEvent
    from .watch_hub import WatchHub

PAGE: Final = 100
"""Keys that are listed together."""
READ_TOGETHER: Final = 20
"""Maximum of values that are read together."""
_MISSED_TOO_MANY: Final = f"over {MAX_KEYS:,} keys have changed since then"


class StateReading:
    """Reads the state, page by page, as the watch asks for it."""

    lost: str | None = None
    """Why the watch has to begin again."""
    missed: Sequence[KeyUpdate] = ()
    """Changes to yield before those that wait."""

    def __init__(self, hub: WatchHub, prefix: str, bytes_in_flight: BytesInFlight, *, values: bool):
        self.is_complete = False
        self.ended_at = 0.0
        """Time of `monotonic` at which it was complete."""
        self._hub = hub
        self._prefix = hub.served.keys.prefix + prefix
        self._bytes_in_flight = bytes_in_flight
        self._values = values
        self._began_at = hub.place
        self._cursor: str | None = None
        self._is_listed = False
        self._unread: list[str] = []

    async def read(self) -> list[WatchEvent]:
        """Return the next events. Raises StoreError if the store can't be reached; then it may be called again."""
        if self._unread:
            return await self._read_values()
        if self._is_listed:
            self.is_complete, self.ended_at = True, monotonic()
            return [Ready(str(self._began_at))]
        try:
            return await (self._list_keys() if self._values else self._list_etags())
        except InvalidCursorError as error:
            self.is_complete, self.lost = True, str(error)
            return []

    async def _list_etags(self) -> list[WatchEvent]:
        store = self._hub.served.store
        page: ETagPage = await self._hub.call("keys", store.etags(self._prefix, PAGE, self._cursor))
        self._turn_to(page.cursor)
        found = ((self._hub.served.keys.listed(entry.key), entry.etag) for entry in page.entries)
        return [StateFound(str(UNFINISHED), key, etag) for key, etag in found if key is not None]

    async def _list_keys(self) -> list[WatchEvent]:
        store = self._hub.served.store
        page: KeyPage = await self._hub.call("keys", store.keys(self._prefix, PAGE, self._cursor))
        self._turn_to(page.cursor)
        listed = map(self._hub.served.keys.listed, page.keys)
        self._unread = [key for key in listed if key is not None]
        return []

    def _turn_to(self, cursor: str | None) -> None:
        self._cursor, self._is_listed = cursor, cursor is None

    async def _read_values(self) -> list[WatchEvent]:
        read = self._bytes_in_flight.begin()
        try:
            keys = self._unread[: min(READ_TOGETHER, read.keys_together())]
            found = await self._hub.read(read, keys)
        finally:
            read.end()  # the watch counts them from now on
        self._unread = self._unread[len(keys) :]
        return [_found(key, entry) for key, entry in found.items() if entry is not None]


class CatchUp:
    """Reads what has changed since a position, by a feed of its own, until that has proof of the time it began."""

    def __init__(self, hub: WatchHub, prefix: str, since: EventId):
        self.is_complete = False
        self.ended_at = 0.0
        self.lost: str | None = None
        self.missed: Sequence[KeyUpdate] = ()
        self._hub = hub
        self._prefix = hub.served.keys.prefix + prefix
        self._since = since

    async def read(self) -> list[WatchEvent]:
        """Return the first event, after which `missed` comes."""
        changes: dict[str, KeyChange] = {}
        began, served = monotonic(), self._hub.served
        feed = feed_of(served.store, self._prefix, served.poll_interval, self._since.position)
        try:
            async with self._hub.catching_up, aclosing(feed):
                async for batch in feed:
                    if any(self._take(entry, changes, began) for entry in batch):
                        break
        except StoreError as error:
            self.lost = f"what has changed since then can't be read: {error}"
        if len(changes) > MAX_KEYS:
            self.lost = _MISSED_TOO_MANY
        self.is_complete, self.ended_at = True, monotonic()
        # Their ids have positions only: the hub's numbers say nothing of what came before.
        self.missed = [KeyUpdate(key, 0, change.position, change.etag) for key, change in changes.items()]
        return [] if self.lost is not None else [Ready(str(self._since))]

    def _take(self, entry: Entry, changes: dict[str, KeyChange], began: float) -> bool:
        """Take an entry of the feed; return whether the feed need not go on."""
        if isinstance(entry, Gap):
            self.lost = entry.reason
        elif isinstance(entry, KeyChange):
            key = self._hub.served.keys.listed(entry.key)
            if key is not None:
                changes.pop(key, None)
                changes[key] = entry
        return self.lost is not None or len(changes) > MAX_KEYS or (isinstance(entry, Alive) and entry.as_of >= began)


def _found(key: str, entry: StoredValue | StoreError) -> StateFound:
    if isinstance(entry, StoreError):
        return StateFound(str(UNFINISHED), key, "", error=str(entry))
    return StateFound(str(UNFINISHED), key, entry.etag, entry.value, entry.expires_at)
