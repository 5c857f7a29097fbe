"""Short ways to ask a store something."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

import pytest

from pannier_sidecar.state.errors import ETagMismatchError, StoreError
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.store import Feature, Store, StoredValue

REFUSED = ETagMismatchError
WAYS = (
    "alone",
    "in bulk",
    pytest.param("in a transaction", marks=pytest.mark.needs(Feature.TRANSACTIONAL)),
)


async def value_of(store: Store, key: str) -> bytes | None:
    found = await store.get(Get(key))
    return None if found is None else found.value


async def written(store: Store, key: str, value: bytes = b'"before"') -> StoredValue:
    """Write a value and return how it is stored."""
    await store.set(Set(key, value))
    return await present(store, key)


async def present(store: Store, key: str) -> StoredValue:
    found = await store.get(Get(key))
    assert found is not None, f"{key} is absent"
    return found


async def expiring(store: Store, key: str, value: bytes = b"1", ttl: int = 1) -> StoredValue:
    """Write a value that expires soon and return how it is stored; repeat that if it was read too late."""
    while True:
        await store.set(Set(key, value, ttl=ttl))
        if (found := await store.get(Get(key))) is not None:
            return found


async def error_of(call: Awaitable[object]) -> StoreError | None:
    try:
        await call
    except StoreError as error:
        return error
    return None


async def send(store: Store, way: str, write: Write) -> StoreError | None:
    """Carry out a write in one of WAYS and return its error."""
    if way == "in bulk":
        [error] = await store.bulk_write([write])
        return error
    if way == "in a transaction":
        return await error_of(store.transact([write]))
    return await error_of(store.set(write) if isinstance(write, Set) else store.delete(write))


async def all_keys(store: Store, prefix: str, limit: int = 100) -> list[str]:
    """List page by page."""
    found: list[str] = []
    cursor = None
    while True:
        page = await store.keys(prefix, limit, cursor)
        assert len(page.keys) <= limit
        found += page.keys
        cursor = page.cursor
        if cursor is None:
            return found


async def write_all(store: Store, writes: Sequence[Write]) -> None:
    """Carry out writes in bulk, all of which must succeed."""
    failed = {write.key: error for write, error in zip(writes, await store.bulk_write(writes), strict=True) if error}
    assert not failed


def sets(keys: Sequence[str], value: bytes = b"1") -> list[Set]:
    return [Set(key, value) for key in keys]


def deletes(keys: Sequence[str]) -> list[Delete]:
    return [Delete(key) for key in keys]
