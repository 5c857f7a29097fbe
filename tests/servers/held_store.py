"""A store in memory that answers only when a test releases its calls."""

import asyncio
from collections.abc import Callable

from pannier_sidecar.state.requests import Get, Write
from pannier_sidecar.state.store import Completion, StoredValue
from pannier_sidecar.stores.in_memory import InMemoryStore

PATIENCE_S = 20.0


class HeldStore(InMemoryStore):
    """Keeps what is begun, and ends it in `release`."""

    def __init__(self) -> None:
        super().__init__({})
        self.held: list[Callable[[], None]] = []

    def begin_get(self, get: Get, completion: Completion[StoredValue | None]) -> None:
        self.held.append(lambda: super(HeldStore, self).begin_get(get, completion))

    def begin_write(self, write: Write, completion: Completion[None]) -> None:
        self.held.append(lambda: super(HeldStore, self).begin_write(write, completion))

    async def until_held(self, calls: int = 1) -> None:
        """Wait until this many calls were begun."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.held) < calls:
                await asyncio.sleep(0.01)

    async def release(self) -> None:
        """Wait for a call that was begun, and end all such calls."""
        await self.until_held()
        held, self.held = self.held, []
        for go_on in held:
            go_on()
