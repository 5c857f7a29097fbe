"""A store that adds metadata to every call, such as what keeps keys in one place for a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from pannier_sidecar.state.delegating_store import DelegatingStore
from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.store import KeyPage, Store, StoredValue


class InOnePlace(DelegatingStore):
    """Passes every call on, with more metadata."""

    def __init__(self, store: Store, metadata: Mapping[str, str]):
        super().__init__(store)
        self._metadata = metadata

    def _placed(self, call: Any) -> Any:
        return replace(call, metadata={**call.metadata, **self._metadata})

    async def get(self, get: Get) -> StoredValue | None:
        return await self.inner.get(self._placed(get))

    async def set(self, write: Set) -> None:
        await self.inner.set(self._placed(write))

    async def delete(self, write: Delete) -> None:
        await self.inner.delete(self._placed(write))

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        return await self.inner.bulk_get([self._placed(get) for get in gets])

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        return await self.inner.bulk_write([self._placed(write) for write in writes])

    async def transact(self, writes: Sequence[Write]) -> None:
        await self.inner.transact([self._placed(write) for write in writes])

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        return await self.inner.keys(prefix, limit, cursor)
