"""A store that takes its time."""

import asyncio

from pannier_sidecar.state.requests import Get
from pannier_sidecar.state.store import Store, StoredValue
from pannier_sidecar.stores.in_memory import InMemoryStore


class SlowStore(InMemoryStore):
    """A get of `slow` takes until the test releases it."""

    def __init__(self) -> None:
        super().__init__({})
        self.begun, self.go_on, self.cancelled = asyncio.Event(), asyncio.Event(), 0

    begin_get = Store.begin_get

    async def get(self, get: Get) -> StoredValue | None:
        if get.key.endswith("slow"):
            self.begun.set()
            try:
                await self.go_on.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return await super().get(get)
