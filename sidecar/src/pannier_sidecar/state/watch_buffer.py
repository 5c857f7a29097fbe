"""Changes that wait: those that a watch has not yielded yet, and the last ones of a store, for clients that return."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from .errors import StoreError
from .feeds import UNREAD
from .store import StoredValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


MAX_KEYS: Final = 4096
"""Maximum of keys that wait in one buffer; and of changes that a returning client can have missed."""
MAX_BYTES: Final = 4 * 1024 * 1024
"""Maximum of bytes of values that wait in one buffer; those of further keys are read again when their turn comes."""
KEY_BYTES: Final = 400
"""Bytes that a waiting key takes besides its characters and its value, roughly."""


class KeyUpdate(Struct, frozen=True, gc=False):
    """The last known state of a key."""

    key: str
    """As the app named it."""
    number: int
    """Of the change, counted by the hub; 0: the hub has not counted it."""
    position: str | None
    etag: str | None
    """None: the key is gone."""
    found: StoredValue | None = None
    """The value, if it was read."""
    error: str = ""
    """Why the value could not be read."""
    is_unread: bool = True
    """Whether the value was not read, or not kept."""


def with_value(update: KeyUpdate, entry: StoredValue | StoreError | None) -> KeyUpdate:
    """Return an update with what was read; nothing: the key is gone by now."""
    key, number, position = update.key, update.number, update.position
    if entry is None:
        return KeyUpdate(key, number, position, None, is_unread=False)
    if isinstance(entry, StoreError):
        return KeyUpdate(key, number, position, update.etag, error=str(entry), is_unread=False)
    return KeyUpdate(key, number, position, entry.etag, entry, is_unread=False)


def without_value(update: KeyUpdate) -> KeyUpdate:
    return KeyUpdate(update.key, update.number, update.position, update.etag, error=update.error)


class Held(Protocol):
    """What all watches hold together."""

    def add(self, size: int) -> None:
        """Change the bytes that are counted."""

    @property
    def is_full(self) -> bool:
        """Whether no further values may be held."""


class Buffer:
    """What one watch has to yield: the last state of each key, in the order of the changes."""

    def __init__(self, held: Held):
        self._held = held
        self._updates: dict[str, KeyUpdate] = {}
        self._bytes = 0
        self._value_bytes = 0

    def __len__(self) -> int:
        return len(self._updates)

    def add(self, update: KeyUpdate) -> bool:
        """Take an update in the place of an earlier one of its key; return False if the buffer is full."""
        before = self._updates.pop(update.key, None)
        if before is not None:
            self._count(before, -1)
        elif len(self._updates) >= MAX_KEYS:
            return False
        if update.found is not None and (self._value_bytes + len(update.found.value) > MAX_BYTES or self._held.is_full):
            update = without_value(update)
        self._updates[update.key] = update
        self._count(update, 1)
        return True

    def add_before(self, updates: Iterable[KeyUpdate]) -> bool:
        """Put updates that are older before those that wait; return False if the buffer is full."""
        waiting = self._updates
        merged = {update.key: update for update in updates if update.key not in waiting}
        if len(merged) + len(waiting) > MAX_KEYS:
            return False
        for update in merged.values():
            self._count(update, 1)
        self._updates = {**merged, **waiting}
        return True

    def first_unread(self, limit: int, *, values: bool) -> list[str]:
        """Return the first keys, up to a limit, if they have to be read before they are taken: for their values or,
        where the database does not report it, for their ETag.
        """
        keys: list[str] = []
        for update in self._updates.values():
            is_complete = not update.is_unread or update.etag is None or not (values or update.etag == UNREAD)
            if is_complete or len(keys) == limit:
                break
            keys.append(update.key)
        return keys

    def replace(self, update: KeyUpdate) -> None:
        """Exchange the update of a key, which keeps its turn."""
        self._count(self._updates[update.key], -1)
        self._updates[update.key] = update
        self._count(update, 1)

    def get(self, key: str) -> KeyUpdate:
        return self._updates[key]

    def take(self) -> KeyUpdate:
        """Take the first update."""
        update = self._updates.pop(next(iter(self._updates)))
        self._count(update, -1)
        return update

    def clear(self) -> None:
        self._updates.clear()
        self._held.add(-self._bytes)
        self._bytes = self._value_bytes = 0

    def _count(self, update: KeyUpdate, sign: int) -> None:
        size = len(update.found.value) if update.found is not None else 0
        self._value_bytes += sign * size
        whole = sign * (size + len(update.key) + KEY_BYTES)
        self._bytes += whole
        self._held.add(whole)


class Ring:
    """The last changes of a store, without values."""

    def __init__(self) -> None:
        self._updates: deque[KeyUpdate] = deque(maxlen=MAX_KEYS)
        self._first = 0
        """Number of the change after which the ring has all."""

    def begin(self, number: int) -> None:
        """Forget all changes up to a number."""
        self._updates.clear()
        self._first = number

    def add(self, update: KeyUpdate) -> None:
        if len(self._updates) == MAX_KEYS:
            self._first = self._updates[0].number
        self._updates.append(update)

    def knows(self, number: int) -> bool:
        """Return whether every change after a number is here."""
        last = self._updates[-1].number if self._updates else self._first
        return self._first <= number <= last

    def after(self, number: int) -> Iterator[KeyUpdate]:
        return (update for update in self._updates if update.number > number)
