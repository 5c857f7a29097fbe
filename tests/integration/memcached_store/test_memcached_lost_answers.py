"""A write whose answer was lost may have happened: it is not sent again, and what is told says so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.eventually import eventually, until
from servers.faulty_way import FaultyWay, faulty_way
from servers.memcached_server import MemcachedServer, single
from servers.opened_store import opened

from pannier_sidecar.state.errors import OutcomeUnknown
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.memcached import MemcachedStore

Call = Callable[[MemcachedStore], Awaitable[Any]]

WRITES: dict[str, Call] = {
    "set": lambda store: store.set(Set("k", b"mine")),
    "create": lambda store: store.set(Set("new", b"mine", if_absent=True)),
    "delete": lambda store: store.delete(Delete("k")),
    "bulk": lambda store: first_of(store.bulk_write([Set("k", b"mine"), Set("other", b"mine")])),
}


async def first_of(bulk: Awaitable[Any]) -> None:
    first = (await bulk)[0]
    if first is not None:
        raise first


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MemcachedServer]:
    with single(tmp_path) as server:
        yield server


@pytest.fixture
def way(server: MemcachedServer) -> Iterator[FaultyWay]:
    with faulty_way(server.port) as way:
        yield way


@pytest.fixture
async def far(way: FaultyWay) -> AsyncIterator[MemcachedStore]:
    async with opened(MemcachedStore({"hosts": way.address, "timeout": 5.0})) as store:
        await store.set(Set("k", b"before"))
        yield store


async def outcome(call: Awaitable[Any]) -> object:
    [result] = await asyncio.gather(call, return_exceptions=True)
    return result


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES.keys())
async def test_what_was_carried_out_is_not_repeated_over_what_came_after(
    far: MemcachedStore, server: MemcachedServer, way: FaultyWay, call: Call
) -> None:
    way.hold_answers()
    writing = asyncio.create_task(outcome(call(far)))
    await until(lambda: way.held_answers > 0)
    async with opened(MemcachedStore({"hosts": server.address, "timeout": 5.0})) as near:
        await near.delete(Delete("k"))
        await near.set(Set("k", b"theirs", if_absent=True))
    way.cut()
    way.heal()
    fault = await writing
    assert type(fault) is OutcomeUnknown
    assert str(fault).endswith("read the key before writing again")
    await eventually(far.ping)
    assert server.stored("k") == b"theirs"


async def test_reads_are_repeated(far: MemcachedStore, way: FaultyWay) -> None:
    way.hold_answers()
    reading = asyncio.gather(far.get(Get("k")), far.bulk_get([Get("k"), Get("absent")]))
    await until(lambda: way.held_answers > 0)
    way.cut()
    way.heal()
    found, [first, second] = await reading
    assert getattr(found, "value", None) == b"before"
    assert getattr(first, "value", None) == b"before"
    assert second is None
