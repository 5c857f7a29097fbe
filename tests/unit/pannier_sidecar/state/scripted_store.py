"""A store that fails on demand, and the service over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from servers.limits import state_limits

from pannier_sidecar.state.directory import Directory, ServedStore
from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.service import StateService
from pannier_sidecar.state.store import Feature, KeyPage, Store, StoredValue


class ScriptedStore(Store):
    """Records its calls in order; fails as often as `faults` has entries (None: that call succeeds)."""

    features = frozenset(Feature)

    def __init__(self, *faults: StoreError | None):
        self.faults = list(faults)
        self.asked: list[Any] = []
        self.values: dict[str, StoredValue | StoreError] = {}
        self.pages: list[KeyPage] = []
        self.in_flight: list[int] = []
        self.served: ServedStore | None = None

    def _ask(self, what: Any) -> None:
        self.asked.append(what)
        if self.served is not None:
            self.in_flight.append(self.served.calls_in_flight)
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault

    async def open(self) -> None:
        self._ask("open")

    async def close(self) -> None:
        self._ask("close")

    async def ping(self) -> None:
        self._ask("ping")

    async def get(self, get: Get) -> StoredValue | None:
        self._ask(get)
        found = self.values.get(get.key)
        if isinstance(found, StoreError):
            raise found
        return found

    async def set(self, write: Set) -> None:
        self._ask(write)

    async def delete(self, write: Delete) -> None:
        self._ask(write)

    async def transact(self, writes: Sequence[Write]) -> None:
        self._ask(list(writes))

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        self._ask((prefix, limit, cursor))
        return self.pages.pop(0)


class Counting:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, str, bool]] = []

    def call_ended(self, store: str, operation: str, succeeded: bool, seconds: float) -> None:
        assert seconds >= 0
        self.ended.append((store, operation, succeeded))


def serving(store: Store, **settings: Any) -> tuple[StateService, ServedStore, Counting]:
    """A service with this store under the name `statestore`, for the app `app`; it holds actor state."""
    scheme = KeyScheme(store="statestore", app_id="app")
    served = ServedStore("statestore", "state.scripted", "v1", store, scheme, holds_actor_state=True, **settings)
    if isinstance(store, ScriptedStore):
        store.served = served
    observer = Counting()
    return StateService(Directory("app", [served]), observer, state_limits()), served, observer
