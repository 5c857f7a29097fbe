"""Short ways to ask a store something."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator, Iterable, Sequence
from typing import Any, TypeVar

import pytest
from servers.database import Database

from pannier_sidecar.state.errors import ETagMismatchError, StoreError
from pannier_sidecar.state.prefilter import Needed
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.store import Feature, Store, StoredValue

Result = TypeVar("Result")

REFUSED = ETagMismatchError
WAYS = ("alone", "begun", "in one bulk", "in bulks of one", "in transactions of one")
"""The ways in which a store carries out writes of different keys."""


def begins_calls(database: Database) -> bool:
    """Return whether its store begins calls in a way of its own."""
    return database.store_class.begin_get is not Store.begin_get


needs_begun_calls = pytest.mark.on.with_args(begins_calls)


def ways_of(database: Database) -> list[str]:
    """Return those of WAYS that its store has."""
    lacked = set()
    if not begins_calls(database):
        lacked.add("begun")
    if Feature.TRANSACTIONAL not in database.claims:
        lacked.add("in transactions of one")
    return [way for way in WAYS if way not in lacked]


async def outcomes(calls: Iterable[Awaitable[Result]]) -> list[Result | BaseException]:
    """Make calls at the same time and return their results, or in their places the exceptions: a test of many items
    goes on, and reports each failure with its item.
    """
    return await asyncio.gather(*calls, return_exceptions=True)


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


class Begun:
    """A call that was begun: how it ended is awaited."""

    def __init__(self) -> None:
        self._result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._rest: asyncio.Task[None] | None = None

    def complete(self, result: Any) -> None:
        self._result.set_result(result)

    def resume(self, rest: Awaitable[Any]) -> None:
        assert self._rest is None
        self._rest = asyncio.ensure_future(self._see_through(rest))

    async def _see_through(self, rest: Awaitable[Any]) -> None:
        try:
            self._result.set_result(await rest)
        except StoreError as error:
            self._result.set_exception(error)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result.__await__()


async def begun_get(store: Store, get: Get) -> StoredValue | None:
    """Begin a get, and return its result."""
    call = Begun()
    store.begin_get(get, call)
    found: StoredValue | None = await call
    return found


async def begun_write(store: Store, write: Write) -> None:
    """Begin a write, and return when it is done."""
    call = Begun()
    store.begin_write(write, call)
    await call


async def send(store: Store, way: str, write: Write) -> BaseException | None:
    """Carry out one write in one of WAYS and return its error."""
    [error] = await send_each(store, way, [write])
    return error


async def send_each(store: Store, way: str, writes: Sequence[Write]) -> Sequence[BaseException | None]:
    """Carry out writes of different keys in one of WAYS and return the error of each."""
    if way == "in one bulk":
        return await store.bulk_write(writes)
    calls = {
        "alone": write_alone,
        "begun": begun_write,
        "in bulks of one": write_in_bulk,
        "in transactions of one": transact_alone,
    }
    return await outcomes(calls[way](store, write) for write in writes)


async def write_alone(store: Store, write: Write) -> None:
    await (store.set(write) if isinstance(write, Set) else store.delete(write))


async def write_in_bulk(store: Store, write: Write) -> None:
    [error] = await store.bulk_write([write])
    if error:
        raise error


async def transact_alone(store: Store, write: Write) -> None:
    await store.transact([write])


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


async def all_candidates(store: Store, prefix: str, limit: int, needed: Needed, cursor: str | None = None) -> list[str]:
    """List page by page the keys whose values may contain what is needed."""
    found: list[str] = []
    while True:
        page = await store.candidates(prefix, limit, cursor, needed)
        assert len(page.keys) <= limit
        found += page.keys
        cursor = page.cursor
        if cursor is None:
            return found


async def read_all(store: Store, keys: Sequence[str]) -> list[StoredValue | StoreError | None]:
    return list(await store.bulk_get([Get(key) for key in keys]))


def value_in(entry: StoredValue | StoreError | None) -> bytes | StoreError | None:
    return entry.value if isinstance(entry, StoredValue) else entry


def agree(one: object, other: object) -> bool:
    """Return whether two reads have found the same. A database that knows what is left until an expiry rounds each
    time, so the two may differ by a second.
    """
    if not (isinstance(one, StoredValue) and isinstance(other, StoredValue)):
        return one == other
    if one.expires_at is None or other.expires_at is None:
        return one == other
    return (one.value, one.etag) == (other.value, other.etag) and abs(one.expires_at - other.expires_at) <= 1


async def write_all(store: Store, writes: Sequence[Write]) -> None:
    """Carry out writes in bulk, all of which must succeed."""
    failed = {write.key: error for write, error in zip(writes, await store.bulk_write(writes), strict=True) if error}
    assert not failed


def sets(keys: Sequence[str], value: bytes = b"1") -> list[Set]:
    return [Set(key, value) for key in keys]


def deletes(keys: Sequence[str]) -> list[Delete]:
    return [Delete(key) for key in keys]
