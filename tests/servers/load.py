"""Load on a store, and whether it kept every answered write."""

from __future__ import annotations

import asyncio

from servers.eventually import LIMIT_S, until
from servers.processes import ServerProcess

from pannier_sidecar.state.errors import ETagMismatchError, OutcomeUnknownError, StoreError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.state.store import Store


class Load:
    """Tasks that write without pause, and the outcome of each write."""

    def __init__(self, store: Store, *, strong: bool = False, tag: str = ""):
        self._store = store
        self._strong = strong
        self._tag = tag
        self._tasks: list[asyncio.Task[None]] = []
        self._is_ending = False
        self.answered: dict[str, bytes] = {}
        self.raised: list[StoreError] = []
        self.counted = 0
        """Increments that were answered."""
        self.doubtful = 0
        """Increments that may or may not have happened."""

    async def __aenter__(self) -> Load:
        await self._store.set(Set(self._tag + "counter", b"0"))
        self._tasks = [asyncio.create_task(self._write(n)) for n in range(6)]
        self._tasks += [asyncio.create_task(self._count()) for _ in range(4)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_ending = True
        await asyncio.wait_for(asyncio.gather(*self._tasks), LIMIT_S)

    @property
    def done(self) -> int:
        return len(self.answered) + self.counted

    async def goes_on(self, count: int = 50) -> None:
        """Wait until this many more writes have been answered."""
        enough = self.done + count
        await until(lambda: self.done > enough)

    async def outlives(self, server: ServerProcess) -> None:
        """Kill the server and start it again, twice, with writes answered before, between and after."""
        for _ in range(2):
            await self.goes_on()
            server.kill()
            await asyncio.to_thread(server.start)
        await self.goes_on()

    async def check(self, store: Store) -> None:
        """Find every answered write, and no increment twice."""
        for key, value in self.answered.items():
            found = await store.get(Get(key))
            assert found is not None, key
            assert found.value == value
        counter = await store.get(Get(self._tag + "counter"))
        assert counter is not None
        assert self.counted <= int(counter.value) <= self.counted + self.doubtful

    async def _write(self, writer: int) -> None:
        number = 0
        while not self._is_ending:
            number += 1
            key, value = f"{self._tag}{writer}-{number}", b"%d" % number
            try:
                await self._store.set(Set(key, value, strong=self._strong))
                self.answered[key] = value
            except StoreError as fault:
                self.raised.append(fault)
                await asyncio.sleep(0.01)

    async def _count(self) -> None:
        key = self._tag + "counter"
        while not self._is_ending:
            try:
                found = await self._store.get(Get(key))
                assert found is not None
                value = b"%d" % (int(found.value) + 1)
                await self._store.set(Set(key, value, if_match=found.etag, strong=self._strong))
                self.counted += 1
            except ETagMismatchError:
                continue
            except OutcomeUnknownError:
                self.doubtful += 1
            except StoreError as fault:
                self.raised.append(fault)
                await asyncio.sleep(0.01)
