"""memcached dies, hangs or is full: no call hangs, and each says what happened."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import pytest
from servers.eventually import eventually
from servers.faulty_proxy import FaultyProxy
from servers.memcached_server import MemcachedServer, owner, single
from servers.opened_store import opened

from pannier_sidecar.state.errors import (
    OutcomeUnknownError,
    PartlyUnavailableError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.memcached.store import MemcachedStore


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MemcachedServer]:
    with single(tmp_path) as server:
        yield server


@pytest.fixture
async def store(server: MemcachedServer) -> AsyncIterator[MemcachedStore]:
    async with opened(MemcachedStore({"hosts": server.address, "timeout": 0.5})) as store:
        yield store


async def test_during_an_outage_calls_fail_in_time_and_say_why(server: MemcachedServer, store: MemcachedStore) -> None:
    await store.set(Set("k", b"1"))
    server.kill()
    started = monotonic()
    for call in (
        store.get(Get("k")),
        store.set(Set("k", b"2")),
        store.set(Set("k", b"2", if_match="1")),
        store.delete(Delete("k")),
        store.ping(),
    ):
        with pytest.raises(StoreUnavailableError, match=server.address):
            await call
    for faults in (
        await store.bulk_get([Get(f"k{n}") for n in range(100)]),
        await store.bulk_write([Set(f"k{n}", b"") for n in range(100)]),
    ):
        assert all(isinstance(fault, StoreUnavailableError) for fault in faults)
    assert monotonic() - started < 20
    server.start()
    await eventually(lambda: store.set(Set("k", b"3")))
    assert server.stored("k") == b"3"


async def test_calls_in_flight_when_the_server_dies_learn_their_outcome(
    server: MemcachedServer, store: MemcachedStore
) -> None:
    await store.set(Set("k", b"1"))
    found = await store.get(Get("k"))
    assert found is not None
    server.pause()
    calls = [
        asyncio.create_task(each)
        for each in (store.get(Get("k")), store.set(Set("k", b"2")), store.set(Set("k", b"3", if_match=found.etag)))
    ]
    await asyncio.sleep(0.05)
    os.kill(server.pid, signal.SIGKILL)  # before it can read what it was sent
    server.kill()
    read, unconditional, conditional = await asyncio.gather(*calls, return_exceptions=True)
    assert type(read) is StoreUnavailableError
    assert type(unconditional) is OutcomeUnknownError
    assert type(conditional) is OutcomeUnknownError
    assert "read the key before writing again" in str(conditional)


async def test_a_stopped_server_fails_calls_in_time_and_serves_again_when_continued(
    server: MemcachedServer, store: MemcachedStore
) -> None:
    await store.set(Set("k", b"1"))
    server.pause()
    started = monotonic()
    calls = (store.get(Get("k")), store.set(Set("k", b"2")), store.delete(Delete("k", if_absent=True)))
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert monotonic() - started < 10
    assert [type(result) for result in results] == [StoreUnavailableError, OutcomeUnknownError, OutcomeUnknownError]
    assert all("did not answer within 0.5 s" in str(result) for result in results)
    with pytest.raises(StoreUnavailableError):
        await store.get(Get("k"))
    server.resume()
    await eventually(lambda: store.set(Set("k", b"4")))
    await eventually(store.ping)


async def test_a_server_that_is_down_affects_only_its_keys(tmp_path: Path) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(single(tmp_path / str(number))) for number in range(3)]
        hosts = ",".join(server.address for server in servers)
        async with opened(MemcachedStore({"hosts": hosts, "timeout": 0.5})) as store:
            keys = [f"k{number}" for number in range(60)]
            await store.bulk_write([Set(key, key.encode()) for key in keys])
            servers[1].kill()
            found = await store.bulk_get([Get(key) for key in keys])
            for key, entry in zip(keys, found, strict=True):
                is_lost = owner(servers, key) is servers[1]
                assert isinstance(entry, StoreError) is is_lost
                assert is_lost or getattr(entry, "value", None) == key.encode()
            with pytest.raises(PartlyUnavailableError, match="2 of 3 memcached servers answer"):
                await store.ping()


async def test_a_server_that_is_down_at_the_start_affects_only_its_keys(tmp_path: Path) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(single(tmp_path / str(number))) for number in range(3)]
        hosts = ",".join(server.address for server in servers)
        servers[1].kill()
        async with opened(MemcachedStore({"hosts": hosts, "timeout": 0.5})) as store:
            keys = [f"k{number}" for number in range(60)]
            faults = await store.bulk_write([Set(key, key.encode()) for key in keys])
            for key, fault in zip(keys, faults, strict=True):
                if owner(servers, key) is servers[1]:
                    assert type(fault) is StoreUnavailableError
                else:
                    assert fault is None
                    assert owner(servers, key).stored(key) == key.encode()
            servers[1].start()
            mine = next(key for key in keys if owner(servers, key) is servers[1])
            await eventually(lambda: store.set(Set(mine, b"1")))
            await eventually(store.ping)
            assert servers[1].stored(mine) == b"1"


async def test_where_no_server_answers_the_store_does_not_open(tmp_path: Path) -> None:
    with single(tmp_path / "a") as first, single(tmp_path / "b") as second:
        hosts = f"{first.address},{second.address}"
        first.kill()
        second.kill()
        store = MemcachedStore({"hosts": hosts, "timeout": 0.5})
        with pytest.raises(StoreUnavailableError, match="cannot be reached"):
            await store.open()
        await store.close()


async def test_an_outage_that_lasts_costs_each_call_nothing(server: MemcachedServer) -> None:
    """One call at a time tries to reach a server that does not even refuse; the others do not wait for it."""
    with FaultyProxy(server.port) as proxy:
        async with opened(MemcachedStore({"hosts": proxy.address, "timeout": 1.0})) as store:
            proxy.hold_requests()
            proxy.cut()
            with pytest.raises(StoreError):
                await eventually_not(lambda: store.get(Get("k")))
            started = monotonic()
            results = await asyncio.gather(*(store.get(Get(f"k{n}")) for n in range(50)), return_exceptions=True)
            for number in range(10):
                results += await store.bulk_get([Get(f"k{number}-{n}") for n in range(10)])
            assert all(type(result) is StoreUnavailableError for result in results)
            assert monotonic() - started < 5
            proxy.heal()
            await eventually(lambda: store.set(Set("k", b"1")))


async def eventually_not(call: Callable[[], Awaitable[object]]) -> None:
    while True:
        await call()
        await asyncio.sleep(0.01)


async def test_a_full_server_that_may_not_evict_refuses(tmp_path: Path) -> None:
    with single(tmp_path, "-M", "-m", "2") as server:
        async with opened(MemcachedStore({"hosts": server.address, "timeout": 30.0})) as store:
            faults = await store.bulk_write([Set(f"k{number}", bytes(100_000)) for number in range(100)])
            [refused, *_] = [fault for fault in faults if fault is not None]
            assert isinstance(refused, StoreRefusedError)
            assert "out of memory" in str(refused)
            assert "raise its memory limit (-m)" in str(refused)
            assert server.stored("k0") == bytes(100_000)


async def test_a_stalled_server_does_not_fill_the_memory(server: MemcachedServer, store: MemcachedStore) -> None:
    await store.ping()
    server.pause()
    value = bytes(500_000)
    calls = [asyncio.create_task(store.set(Set("k", value))) for _ in range(500)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    errors = {type(result) for result in results}
    assert errors <= {StoreUnavailableError, OutcomeUnknownError}
    assert StoreUnavailableError in errors, "all were sent to a server that did not read"
    server.resume()
    await eventually(lambda: store.set(Set("k", b"1")))
