"""What a watch is asked for, and what it yields. Imported with the first watch."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final, Protocol

from msgspec import Struct

from .errors import MalformedRequestError

MAX_ID: Final = 2048
"""Maximum of characters in an id; one that is longer was never given."""
_ID: Final = re.compile(r"(?a:([0-9a-f]{8})\.(\d{1,18})(?:@([\w-]*={0,2}))?)")


class WatchRequest(Struct, frozen=True, gc=False):
    """Watch the app's own keys that begin with a prefix."""

    store: str | None
    """None: the default store."""
    prefix: str = ""
    since: str | None = None
    """The id of the last event that the client has seen; None: it has seen none."""
    values: bool = False
    """Whether events have the values, too."""


class StateFound(Struct, frozen=True, gc=False):
    """A key as it is stored now: one of those that a watch begins with, at first and after each Reset."""

    id: str
    key: str
    etag: str
    value: bytes | None = None
    """None if values were not asked for, or `error` says why this one could not be read."""
    expires_at: int | None = None
    """Unix time in seconds, if values were asked for; None: never."""
    error: str = ""


class Ready(Struct, frozen=True, gc=False):
    """The state is complete; from here on there are changes."""

    id: str


class Changed(Struct, frozen=True, gc=False):
    """A key was written. The fields are those of StateFound."""

    id: str
    key: str
    etag: str
    value: bytes | None = None
    expires_at: int | None = None
    error: str = ""


class Deleted(Struct, frozen=True, gc=False):
    """A key was deleted, or has expired."""

    id: str
    key: str


class Reset(Struct, frozen=True, gc=False):
    """Something may have been missed: forget all keys; the state follows, and another Ready."""

    id: str
    reason: str


class Beat(Struct, frozen=True, gc=False):
    """Nothing has happened for a while."""

    id: str
    late: float = 0.0
    """Seconds for which nothing is known of the database; 0: everything up to now was reported, but for the usual lag.
    """


WatchEvent = StateFound | Ready | Changed | Deleted | Reset | Beat


class WatchObserver(Protocol):
    """Receives what happens to watches."""

    def watches_changed(self, store: str, number: int) -> None:
        """Record how many watches a store has now."""

    def event_yielded(self, store: str, event: WatchEvent, age: float) -> None:
        """Record an event, and how many seconds ago it was last known what the database has."""


class Unobserved:
    """Receives it and records nothing."""

    def watches_changed(self, store: str, number: int) -> None: ...

    def event_yielded(self, store: str, event: WatchEvent, age: float) -> None: ...


class EventId(Struct, frozen=True, gc=False):
    """A place in the events of one store, which a client sends back to go on there."""

    epoch: str
    """Random; another one begins when changes may have been missed."""
    number: int
    """Changes so far in the epoch."""
    position: str | None = None
    """The position of the store's feed, which means the same to other sidecars."""

    def __str__(self) -> str:
        place = f"{self.epoch}.{self.number}"
        if self.position is None:
            return place
        return f"{place}@{urlsafe_b64encode(self.position.encode()).decode()}"


UNFINISHED: Final = EventId("00000000", 0)
"""The place of whoever has seen only a part of the state: going on there begins again."""


def read_event_id(text: str) -> EventId:
    """Return an id that a client has sent back. Raises MalformedRequestError."""
    found = _ID.fullmatch(text) if len(text) <= MAX_ID else None
    try:
        if found is None:
            raise ValueError
        epoch, number, position = found.groups()
        return EventId(epoch, int(number), None if position is None else urlsafe_b64decode(position).decode())
    except ValueError:
        raise MalformedRequestError(
            f"since {text[:50]!r} is no id of an event", "send the id of the last event, or leave it out"
        ) from None
