"""A write whose answer was lost may have happened: it is not sent again, and the error says so."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from servers.eventually import eventually
from servers.faulty_proxy import FaultyProxy
from servers.lost_answers import Call, answer_held, first_of_a_bulk, lost, lost_behind_another_write
from servers.memcached_server import MemcachedServer, single
from servers.opened_store import opened

from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.memcached.store import MemcachedStore

WRITES: dict[str, Call] = {
    "set": lambda store: store.set(Set("k", b"mine")),
    "create": lambda store: store.set(Set("new", b"mine", if_absent=True)),
    "delete": lambda store: store.delete(Delete("k")),
    "bulk": first_of_a_bulk,
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MemcachedServer]:
    with single(tmp_path) as server:
        yield server


@pytest.fixture
def proxy(server: MemcachedServer) -> Iterator[FaultyProxy]:
    with FaultyProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
async def far(proxy: FaultyProxy) -> AsyncIterator[MemcachedStore]:
    async with opened(MemcachedStore({"hosts": proxy.address, "timeout": 5.0})) as store:
        await store.set(Set("k", b"before"))
        yield store


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES.keys())
async def test_a_write_that_was_carried_out_is_not_repeated_over_later_writes(
    far: MemcachedStore, server: MemcachedServer, proxy: FaultyProxy, call: Call
) -> None:
    writing = await answer_held(proxy, call(far))
    async with opened(MemcachedStore({"hosts": server.address, "timeout": 5.0})) as near:
        await lost_behind_another_write(proxy, writing, near)
    await eventually(far.ping)
    assert server.stored("k") == b"theirs"


async def test_reads_are_repeated(far: MemcachedStore, proxy: FaultyProxy) -> None:
    reads = asyncio.gather(far.get(Get("k")), far.bulk_get([Get("k"), Get("absent")]))
    found, [first, second] = await lost(proxy, await answer_held(proxy, reads))
    assert getattr(found, "value", None) == b"before"
    assert getattr(first, "value", None) == b"before"
    assert second is None
