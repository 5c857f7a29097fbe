"""An open RedisStore that has to leave nothing behind, and load to put on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from servers import opened_store

from pannier_sidecar.state.errors import ETagMismatch, OutcomeUnknown, StoreFault
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores.redis import RedisStore

LIMIT_S = 30.0
IMPATIENT = {"dialTimeout": 0.4, "readTimeout": 0.4, "writeTimeout": 0.4}


@asynccontextmanager
async def opened(settings: Mapping[str, Any], **more: Any) -> AsyncIterator[RedisStore]:
    """Open a store; afterwards no task may be left and no exception unseen."""
    async with opened_store.opened(RedisStore({**settings, **more})) as store:
        try:
            yield store
        finally:
            await store.close()  # and once more there


async def eventually(call: Callable[[], Awaitable[Any]], limit_s: float = LIMIT_S) -> Any:
    """Return what the call returns as soon as it succeeds."""
    async with asyncio.timeout(limit_s):
        while True:
            try:
                return await call()
            except StoreFault:
                await asyncio.sleep(0.02)


async def until(is_so: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    async with asyncio.timeout(limit_s):
        while not is_so():
            await asyncio.sleep(0.01)


class Load:
    """Tasks that write without pause, and what became of each write."""

    def __init__(self, store: RedisStore, *, strong: bool = False, tag: str = ""):
        self._store = store
        self._strong = strong
        self._tag = tag
        self._tasks: list[asyncio.Task[None]] = []
        self._is_ending = False
        self.answered: dict[str, bytes] = {}
        self.raised: list[StoreFault] = []
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

    async def check(self, store: RedisStore) -> None:
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
            except StoreFault as fault:
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
            except ETagMismatch:
                continue
            except OutcomeUnknown:
                self.doubtful += 1
            except StoreFault as fault:
                self.raised.append(fault)
                await asyncio.sleep(0.01)
