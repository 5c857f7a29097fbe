"""A store that fails on demand, to test what callers see."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from integration.http_front_end.http_wire import Runtime, Serving, Unobserved, serving
from servers.limits import state_limits

from pannier_sidecar.http_api.calls import HttpApi
from pannier_sidecar.http_api.profiles import PROFILES
from pannier_sidecar.state.directory import Directory, ServedStore
from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.service import StateService
from pannier_sidecar.state.store import Feature, Store, StoredValue
from pannier_sidecar.stores.in_memory import InMemoryStore


class FailingStore(InMemoryStore):
    """Keeps state in memory, and raises its faults, one at each call, while there are any."""

    def __init__(self, *faults: StoreError):
        super().__init__({})
        self.faults = list(faults)
        self.attempts: list[float] = []
        """When each call arrived."""

    def _attempt(self) -> None:
        self.attempts.append(asyncio.get_running_loop().time())
        if self.faults:
            raise self.faults.pop(0)

    begin_get = Store.begin_get
    begin_write = Store.begin_write

    async def get(self, get: Get) -> StoredValue | None:
        self._attempt()
        return await super().get(get)

    async def set(self, write: Set) -> None:
        self._attempt()
        await super().set(write)

    async def delete(self, write: Delete) -> None:
        self._attempt()
        await super().delete(write)

    async def bulk_get(self, gets: Sequence[Get]) -> Any:
        self._attempt()
        return await super().bulk_get(gets)

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        return await Store.bulk_write(self, writes)

    async def transact(self, writes: Any) -> None:
        self._attempt()
        await super().transact(writes)

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> Any:
        self._attempt()
        return await super().keys(prefix, limit, cursor)


class PlainStore(FailingStore):
    """Has neither transactions nor lists of keys."""

    features = frozenset({Feature.ETAG, Feature.TTL})


class SmallStore(FailingStore):
    """Accepts at most two steps in a transaction."""

    max_transaction = 2


@asynccontextmanager
async def serving_stores(
    profile: str = "spec", *, largest_answer: int = 2**20, **stores: InMemoryStore
) -> AsyncIterator[Serving]:
    """Serve these stores, of which one called `actors` holds the state of actors."""
    served = []
    for name, store in stores.items():
        await store.open()
        keys = KeyScheme(store=name, app_id="app")
        served.append(ServedStore(name, "state.test", "v1", store, keys, holds_actor_state=name == "actors"))
    service = StateService(Directory("app", served), Unobserved(), state_limits(answer=largest_answer))
    runtime = Runtime("app", "1.0.0", is_loaded=True)
    api = HttpApi(service, runtime, PROFILES[profile])
    async with serving(api.answer) as here:
        yield here
