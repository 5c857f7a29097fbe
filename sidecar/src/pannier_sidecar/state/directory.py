"""Stores by their names, and the error for a name that no store has.

A Directory is a snapshot that never changes: a reload makes a new one and the service takes it over in one step, so a
call sees either the old set of stores or the new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from .errors import ActorStoreMissingError, NoStoreConfiguredError, StoreNotFoundError, StoreNotReadyError
from .keys import KeyScheme
from .store import Store
from .wording import MAX_KEY_CHARS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .store import Feature

DEFAULT_NAME = "statestore"
"""The store for calls that name none, if there are several (the oldest spec knew only one store)."""


class ServedStore(Struct, eq=False):
    """One component that is served: its store, and its settings of keys and expiry."""

    name: str
    type: str
    version: str
    store: Store
    keys: KeyScheme
    default_ttl: int | None = None
    """The TTL, in seconds, of writes that do not set an expiry."""
    is_default: bool = False
    holds_actor_state: bool = False
    idempotency_ttl: int = 3600
    """Seconds for which requests with an Idempotency-Key are remembered."""
    poll_interval: float = 5.0
    """Seconds between two looks for changes, where the store does not report them."""
    calls_in_flight: int = 0
    """Calls that are using the store now; a retired store is closed when they have ended."""

    def supports(self, feature: Feature) -> bool:
        return feature in self.store.features


class Waiting(Struct, frozen=True):
    """A component whose store could not be opened yet."""

    name: str
    type: str
    version: str
    why: str
    is_default: bool = False
    holds_actor_state: bool = False


class Directory:
    """All state stores of one app."""

    def __init__(
        self,
        app_id: str,
        served: Iterable[ServedStore] = (),
        waiting: Iterable[Waiting] = (),
        hidden: Mapping[str, str] | None = None,
        *,
        seen_from: str = "",
    ):
        """Take the open stores, the stores that still wait for their server, and the reason for each that this app may
        not use. `seen_from` says, for messages, which components the app sees; empty if they come from a folder.
        """
        self.app_id = app_id
        self.served = {store.name: store for store in served}
        self.waiting = {store.name: store for store in waiting}
        self._hidden = dict(hidden or {})
        self._seen_from = seen_from
        self._default = self._choose_default()

    def find(self, name: str | None) -> ServedStore:
        """Return the open store called `name`, or the default store for None.

        Raises StoreNotFoundError (NoStoreConfiguredError if there is no store at all) or StoreNotReadyError.
        """
        if name is None:
            name = self._default
            if name is None:
                raise self._no_default()
        store = self.served.get(name)
        if store is None:
            raise self._missing(name)
        return store

    def knows(self, name: str) -> bool:
        """Return whether a store of that name is configured for this app."""
        return name in self.served or name in self.waiting

    def actor_store(self) -> ServedStore:
        """Return the store for actor state. Raises ActorStoreMissingError or StoreNotReadyError."""
        for served in self.served.values():
            if served.holds_actor_state:
                return served
        for waiting in self.waiting.values():
            if waiting.holds_actor_state:
                raise StoreNotReadyError(waiting.name, waiting.why)
        raise ActorStoreMissingError

    def _choose_default(self) -> str | None:
        everyone: list[ServedStore | Waiting] = [*self.served.values(), *self.waiting.values()]
        for candidates in ([s.name for s in everyone if s.is_default], [s.name for s in everyone]):
            if len(candidates) == 1:
                return candidates[0]
        return DEFAULT_NAME if self.knows(DEFAULT_NAME) else None

    def _no_default(self) -> StoreNotFoundError:
        if not self.served and not self.waiting:
            return NoStoreConfiguredError("(default)", self.app_id, self._how_to_get_one())
        return StoreNotFoundError(
            "(default)",
            self.app_id,
            f'there are several ({self._names()}): name one in the path, or mark one with defaultStateStore: "true"',
        )

    def _missing(self, name: str) -> StoreNotFoundError | StoreNotReadyError:
        if name in self.waiting:
            return StoreNotReadyError(name, self.waiting[name].why)
        if name in self._hidden:
            missing = StoreNotFoundError(name, self.app_id, self._hidden[name])
            return missing if self.served or self.waiting else missing.as_not_configured()
        if not self.served and not self.waiting:
            return NoStoreConfiguredError(name, self.app_id, self._how_to_get_one())
        from difflib import get_close_matches  # imported here, because only a misspelt name needs it

        close = get_close_matches(name, [*self.served, *self.waiting], n=1) if len(name) <= MAX_KEY_CHARS else []
        hint = f"did you mean {close[0]!r}? " if close else ""
        more = f"; this app sees {self._seen_from}" if self._seen_from else ""
        return StoreNotFoundError(name, self.app_id, f"{hint}known stores: {self._names()}{more}")

    def _names(self) -> str:
        return ", ".join(sorted([*self.served, *self.waiting]))

    def _how_to_get_one(self) -> str:
        if self._seen_from:
            return f"apply a Component of a type such as state.redis; this app sees {self._seen_from}"
        return "add a Component of a type such as state.redis to the components folder"
