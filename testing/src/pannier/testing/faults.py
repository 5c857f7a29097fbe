"""Faults that a test orders, and the store that makes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pannier_sidecar.state.delegating_store import DelegatingStore
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreUnavailableError
from pannier_sidecar.state.requests import Get, Set

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pannier_sidecar.state.errors import StoreError
    from pannier_sidecar.state.requests import Delete, Write
    from pannier_sidecar.state.store import KeyPage, Store, StoredValue


class Faults:
    """What goes wrong in the database, until `clear` is called. May be set from any thread."""

    delay_s: float = 0.0
    """Seconds that each call to the database takes longer."""
    is_down: bool = False
    """Whether the database cannot be reached: calls are answered 503, and nothing happens."""
    _lost: int = 0
    _races: int = 0

    def clear(self) -> None:
        """Let everything go well again."""
        vars(self).clear()

    def lose_answers(self, number: int = 1) -> None:
        """Carry the next writes out, but lose their answers: the app is told that they may have happened."""
        self._lost = number

    def lose_races(self, number: int = 1) -> None:
        """Before the next writes with an ETag, have somebody else write the key first: the app gets a conflict.

        The other one writes the value that is there, so only the ETag changes. A key that is not there stays so.
        """
        self._races = number

    def takes_answer(self) -> bool:
        """Whether the answer of a write that was carried out is lost."""
        self._lost, lost = max(self._lost - 1, 0), self._lost > 0
        return lost

    def takes_race(self) -> bool:
        """Whether somebody else writes first."""
        self._races, raced = max(self._races - 1, 0), self._races > 0
        return raced


class FaultyStore(DelegatingStore):
    """A store whose calls fail as the faults say."""

    def __init__(self, inner: Store, faults: Faults):
        super().__init__(inner)
        self._faults = faults

    async def ping(self) -> None:
        await self._reach()
        await self.inner.ping()

    async def probe(self) -> None:
        await self._reach()
        await self.inner.probe()

    async def get(self, get: Get) -> StoredValue | None:
        await self._reach()
        return await self.inner.get(get)

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        await self._reach()
        return await self.inner.bulk_get(gets)

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        await self._reach()
        return await self.inner.keys(prefix, limit, cursor)

    async def set(self, write: Set) -> None:
        await self._write([write], lambda: self.inner.set(write))

    async def delete(self, write: Delete) -> None:
        await self._write([write], lambda: self.inner.delete(write))

    async def transact(self, writes: Sequence[Write]) -> None:
        await self._write(writes, lambda: self.inner.transact(writes))

    async def _reach(self) -> None:
        if self._faults.delay_s:
            await asyncio.sleep(self._faults.delay_s)
        if self._faults.is_down:
            raise StoreUnavailableError("the test has ordered that the database cannot be reached")

    async def _write(self, writes: Sequence[Write], carry_out: Callable[[], Awaitable[None]]) -> None:
        await self._reach()
        for write in writes:
            if write.if_match is not None and self._faults.takes_race():
                await self._write_as_another(write.key)
        await carry_out()
        if self._faults.takes_answer():
            raise OutcomeUnknownError("the test has ordered that the answer is lost")

    async def _write_as_another(self, key: str) -> None:
        found = await self.inner.get(Get(key))
        if found is not None:
            await self.inner.set(Set(key, found.value, found.etag, kept_expiry=found.expires_at))
