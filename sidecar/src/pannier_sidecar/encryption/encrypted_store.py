"""A store whose values are encrypted: seals what is written to another store, and opens what is read from it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from pannier_sidecar.state.delegating_store import DelegatingStore
from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.state.requests import Set
from pannier_sidecar.state.store import StoredValue, raised
from pannier_sidecar.state.wrapped_rest import WrappedRest

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from pannier_sidecar.state.requests import Delete, Get, Write
    from pannier_sidecar.state.store import Completion, KeyPage, Store

    from .sealing import Sealing


class Standing(NamedTuple):
    """What is stored under a key."""

    found: StoredValue | StoreError | None
    """The value, decrypted; an error if it cannot be read; None if there is nothing."""
    is_current: bool = False
    """Whether the primary key seals the value, in the format that is written now."""


class EncryptedStore(DelegatingStore):
    """Everything but the values is the other store's: keys, ETags, expiry, transactions, lists and limits."""

    def __init__(self, store: Store, sealing: Sealing):
        """Put encryption around a store, which may be open already."""
        super().__init__(store)
        self._sealing = sealing

    @property
    def unretried(self) -> Store:
        unretried = self.inner.unretried
        return self if unretried is self.inner else EncryptedStore(unretried, self._sealing)

    async def get(self, get: Get) -> StoredValue | None:
        return self._opened_if_any(get.key, await self.inner.get(get))

    async def set(self, write: Set) -> None:
        await self.inner.set(self._sealed(write))

    async def delete(self, write: Delete) -> None:
        await self.inner.delete(write)

    def begin_get(self, get: Get, completion: Completion[StoredValue | None]) -> None:
        self.inner.begin_get(get, _Opening(completion, partial(self._opened_if_any, get.key)))

    def begin_write(self, write: Write, completion: Completion[None]) -> None:
        self.inner.begin_write(self._sealed(write) if isinstance(write, Set) else write, completion)

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        found = await self.inner.bulk_get(gets)
        return [self._opened_or_error(get.key, entry) for get, entry in zip(gets, found, strict=True)]

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        return await self.inner.bulk_write(self._all_sealed(writes))

    async def transact(self, writes: Sequence[Write]) -> None:
        await self.inner.transact(self._all_sealed(writes))

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        return await self.inner.keys(prefix, limit, cursor)

    async def look_up(self, gets: Sequence[Get]) -> Sequence[Standing]:
        """Return what is stored under each key, and whether it is sealed as it would be if it were written now."""
        found = await self.inner.bulk_get(gets)
        return [self._standing(get.key, entry) for get, entry in zip(gets, found, strict=True)]

    @property
    def primary_key(self) -> str:
        """The name of the key that seals, for messages; empty if it has none."""
        return self._sealing.primary.name

    def _standing(self, key: str, entry: StoredValue | StoreError | None) -> Standing:
        if not isinstance(entry, StoredValue):
            return Standing(entry)
        try:
            opened = self._sealing.opened(key, entry.value)
        except StoreError as error:
            return Standing(error)
        return Standing(StoredValue(opened.value, entry.etag, entry.expires_at), opened.is_current)

    def _sealed(self, write: Set) -> Set:
        return replace(write, value=self._sealing.seal(write.key, write.value, is_json=write.is_json), is_json=False)

    def _all_sealed(self, writes: Sequence[Write]) -> list[Write]:
        return [self._sealed(write) if isinstance(write, Set) else write for write in writes]

    def _opened(self, key: str, found: StoredValue) -> StoredValue:
        return StoredValue(self._sealing.open(key, found.value), found.etag, found.expires_at)

    def _opened_if_any(self, key: str, found: StoredValue | None) -> StoredValue | None:
        return None if found is None else self._opened(key, found)

    def _opened_or_error(self, key: str, entry: StoredValue | StoreError | None) -> StoredValue | StoreError | None:
        if not isinstance(entry, StoredValue):
            return entry
        try:
            return self._opened(key, entry)
        except StoreError as error:
            return error


_Open = Callable[["StoredValue | None"], "StoredValue | None"]
"""Decrypts what was read. Raises UndecryptableError."""


class _Opening:
    """Takes the result of a begun read, and passes it on decrypted."""

    __slots__ = ("_completion", "_open")

    def __init__(self, completion: Completion[StoredValue | None], open_value: _Open):
        self._completion = completion
        self._open = open_value

    def complete(self, result: StoredValue | None) -> None:
        try:
            opened = self._open(result)
        except Exception as error:  # even a defect must be answered
            self._completion.resume(raised(error))
        else:
            self._completion.complete(opened)

    def resume(self, rest: Coroutine[Any, Any, StoredValue | None]) -> None:
        self._completion.resume(WrappedRest(rest, self._open))
