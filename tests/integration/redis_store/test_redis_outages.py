"""Redis dies, hangs, forgets its scripts or is full: no call hangs, no answered write is lost, none happens twice."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic

import pytest
from servers.eventually import eventually, until
from servers.load import Load
from servers.opened_redis import IMPATIENT, opened
from servers.processes import free_port
from servers.redis_server import RedisServer, single

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.redis.store import RedisStore


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with single(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(shared: RedisServer) -> Iterator[RedisServer]:
    """A running server, whatever the previous test did to it."""
    with shared.client() as client:
        client.flushall()
    yield shared
    shared.resume()


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisStore]:
    async with opened(server.settings, **IMPATIENT) as store:
        yield store


async def test_killed_and_restarted_under_load_it_has_every_answered_write(tmp_path: Path) -> None:
    with single(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        async with opened(server.settings) as store:
            async with Load(store) as load:
                for _ in range(3):
                    await load.goes_on(100)
                    server.kill()
                    await asyncio.sleep(0.05)
                    server.start()
                await load.goes_on(100)
            await load.check(store)
        async with opened(server.settings) as another:
            await load.check(another)


async def test_during_an_outage_calls_fail_in_time_and_say_why(tmp_path: Path) -> None:
    with single(tmp_path) as server:
        async with opened(server.settings, dialTimeout=0.2, readTimeout=5.0) as store:
            await store.set(Set("k", b"1"))
            server.kill()
            started = monotonic()
            for call in (
                store.get(Get("k")),
                store.set(Set("k", b"2")),
                store.set(Set("k", b"2", if_match="1")),
                store.delete(Delete("k")),
                store.transact([Set("k", b"2")]),
                store.set(Set("k", b"2", strong=True)),
                store.keys("", 10, None),
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
            assert (await store.get(Get("k"))) is not None


async def test_an_outage_that_lasts_costs_each_call_nothing(tmp_path: Path) -> None:
    """Calls wait for a server for as long as a restart may take, counted from the beginning of the outage."""
    with single(tmp_path) as server:
        async with opened(server.settings, dialTimeout=0.5) as store:
            server.kill()
            with pytest.raises(StoreError):
                await store.set(Set("k", b"1"))
            await asyncio.sleep(0.6)
            started = monotonic()
            for _ in range(50):
                with pytest.raises(StoreUnavailableError, match=server.address):
                    await store.get(Get("k"))
                with pytest.raises(StoreUnavailableError, match=server.address):
                    await store.set(Set("k", b"1"))
            assert monotonic() - started < 5, "each waited for the server"
            server.start()
            await eventually(lambda: store.set(Set("k", b"3")))


async def test_a_call_that_finds_the_server_restarting_waits_for_it(tmp_path: Path) -> None:
    with single(tmp_path) as server:
        async with opened(server.settings, dialTimeout=20.0) as store:
            server.kill()
            calls = [asyncio.create_task(store.set(Set(f"k{n}", b"1"))) for n in range(20)]
            await asyncio.sleep(0.1)
            server.start()
            await asyncio.gather(*calls)


async def test_a_stopped_server_fails_calls_in_time_and_serves_again_when_continued(
    server: RedisServer, store: RedisStore
) -> None:
    await store.set(Set("k", b"1"))
    found = await store.get(Get("k"))
    assert found is not None
    server.pause()
    started = monotonic()
    reads = [store.get(Get("k")), store.get(Get("x"))]
    unconditional = [store.set(Set("k", b"2")), store.delete(Delete("x"))]
    conditional = [store.set(Set("k", b"3", if_match=found.etag)), store.transact([Set("y", b"1")])]
    results = await asyncio.gather(*reads, *unconditional, *conditional, return_exceptions=True)
    assert monotonic() - started < 10
    for result in results[:2]:
        assert type(result) is StoreUnavailableError, result
        assert "did not answer within 0.4 s" in str(result)
    for result in results[2:]:
        assert type(result) is OutcomeUnknownError, result
        assert "read the key before writing again" in str(result)
    with pytest.raises(StoreUnavailableError) as caught:
        await store.get(Get("k"))
    assert "TLS" not in str(caught.value)
    server.resume()
    await eventually(lambda: store.set(Set("k", b"4")))
    await eventually(store.ping)


async def test_a_busy_server_that_keeps_answering_is_not_given_up(server: RedisServer) -> None:
    value = bytes(200_000)
    async with opened(server.settings, readTimeout=1.0, writeTimeout=30.0, dialTimeout=30.0) as store:
        await asyncio.gather(*(store.set(Set(f"k{n}", value)) for n in range(300)))
        found = await store.bulk_get([Get(f"k{n}") for n in range(300)])
        assert all(getattr(each, "value", None) == value for each in found)


async def test_a_stalled_server_does_not_fill_the_memory(server: RedisServer) -> None:
    async with opened(server.settings, readTimeout=1.0, writeTimeout=0.2, dialTimeout=0.4) as store:
        await store.ping()
        server.pause()
        value = bytes(1_000_000)
        before = _resident_bytes()
        calls = [asyncio.create_task(store.set(Set("k", value))) for _ in range(50)]
        await asyncio.sleep(0.1)
        late = [asyncio.create_task(store.set(Set("k", value))) for _ in range(500)]
        results = await asyncio.gather(*calls, *late, return_exceptions=True)
        grown = _resident_bytes() - before
        assert {type(result) for result in results} == {StoreUnavailableError, OutcomeUnknownError}
        assert any("more calls waiting than it can take" in str(result) for result in results)
        assert grown < 100_000_000
        server.resume()
        await eventually(lambda: store.set(Set("k", b"1")))


def _resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_closing_ends_calls_in_flight(server: RedisServer) -> None:
    async with opened(server.settings) as store:
        server.pause()
        calls = [asyncio.create_task(store.get(Get("k"))) for _ in range(50)]
        calls += [asyncio.create_task(store.set(Set("k", b"", if_match="1", strong=n % 2 == 0))) for n in range(10)]
        bulk = [asyncio.create_task(store.bulk_write([Set("k", b"")] * 10))]
        await asyncio.sleep(0.05)
        await store.close()
        results = await asyncio.wait_for(asyncio.gather(*calls, *bulk, return_exceptions=True), 5)
        assert all(isinstance(result, StoreUnavailableError | OutcomeUnknownError) for result in results[:-1]), results
        with pytest.raises(StoreUnavailableError, match="closed"):
            await store.get(Get("k"))


async def test_closing_during_an_outage_ends_calls_that_wait(tmp_path: Path) -> None:
    with single(tmp_path) as server:
        async with opened(server.settings, dialTimeout=30.0) as store:
            server.kill()
            calls = [asyncio.create_task(store.get(Get("k"))) for _ in range(50)]
            await asyncio.sleep(0.05)
            await store.close()
            results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)
            assert all(isinstance(result, StoreUnavailableError) for result in results), results
        server.start()


async def test_a_caller_that_goes_away_disturbs_nobody(server: RedisServer, store: RedisStore) -> None:
    await store.set(Set("k", b"1"))
    calls = [asyncio.create_task(store.get(Get("k"))) for _ in range(100)]
    bulk = asyncio.create_task(store.bulk_write([Set(f"b{n}", b"1") for n in range(100)]))
    await asyncio.sleep(0)
    bulk.cancel()
    for call in calls[::2]:
        call.cancel()
    results = await asyncio.gather(*calls, bulk, return_exceptions=True)
    assert all(getattr(result, "value", None) == b"1" for result in results[1:-1:2])
    assert await store.get(Get("k")) is not None


async def test_scripts_that_the_server_forgot_are_sent_again(server: RedisServer, store: RedisStore) -> None:
    with server.client() as client:
        for write in (Set("k", b"1"), Set("k", b"2", if_absent=False, ttl=100), Set("n", b"3", if_absent=True)):
            client.script_flush()
            await store.set(write)
        client.script_flush()
        await store.transact([Set("k", b"4"), Delete("n")])
        client.script_flush()
        assert list(await store.bulk_write([Set("k", b"%d" % n) for n in range(10)])) == [None] * 10
        client.script_flush()
        await store.set(Set("s", b"1", strong=True))
    found = await store.get(Get("k"))
    assert found is not None
    assert found.value == b"9"


async def test_a_full_server_refuses_and_has_changed_nothing(server: RedisServer, store: RedisStore) -> None:
    await store.set(Set("k", b"old", ttl=1000))
    with server.client() as client:
        try:
            client.config_set("maxmemory", "1")
            for write in (Set("k", b"new"), Set("new", b"1"), Set("k", b"new", ttl=5)):
                with pytest.raises(StoreRefusedError, match="OOM.*raise maxmemory"):
                    await store.set(write)
            with pytest.raises(StoreRefusedError, match="OOM"):
                await store.transact([Set("a", b"1"), Set("b", b"1")])
        finally:
            client.config_set("maxmemory", "0")
        assert client.keys() == [b"k"]
        assert client.hget("k", "data") == b"old"
        assert client.ttl("k") > 900


async def test_a_server_that_lost_its_replicas_is_worth_another_attempt(server: RedisServer, store: RedisStore) -> None:
    with server.client() as client:
        client.config_set("min-replicas-to-write", "1")
        try:
            with pytest.raises(StoreUnavailableError, match="NOREPLICAS"):
                await store.set(Set("k", b"1"))
        finally:
            client.config_set("min-replicas-to-write", "0")


async def test_a_primary_that_became_a_replica_is_left(server: RedisServer, store: RedisStore) -> None:
    with server.client() as client:
        client.replicaof("127.0.0.1", free_port())
        try:
            with pytest.raises(StoreError, match="READONLY|takes no writes"):
                await store.set(Set("k", b"1", if_absent=True))
        finally:
            client.replicaof("NO", "ONE")
    await eventually(lambda: store.set(Set("k", b"1", if_absent=True)))


async def test_connections_killed_over_and_over_lose_nothing(server: RedisServer) -> None:
    async with opened(server.settings) as store:
        async with Load(store) as load:
            for _ in range(6):
                reached = load.done
                with server.client() as client:
                    client.client_kill_filter(_type="normal", skipme=True)
                await until(lambda reached=reached: load.done > reached + 50)
        await load.check(store)
        assert all(type(fault) is OutcomeUnknownError for fault in load.raised)


async def test_one_client_can_be_paused_by_the_server(server: RedisServer, store: RedisStore) -> None:
    with server.client() as client:
        client.execute_command("CLIENT PAUSE", 100, "WRITE")
    await store.set(Set("k", b"1"))
    assert await store.get(Get("k")) is not None


async def test_a_script_that_blocks_the_server_is_waited_for(server: RedisServer, store: RedisStore) -> None:
    with server.client() as client:
        client.config_set("busy-reply-threshold", "1")
    blocking = asyncio.create_task(asyncio.to_thread(_block, server, 100))
    while not blocking.done():
        await eventually(lambda: store.set(Set("k", b"1")))
        await asyncio.sleep(0.01)
    await blocking


def _block(server: RedisServer, milliseconds: int) -> None:
    with server.client() as client:
        client.eval(
            "local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end "
            "for n = 1, ARGV[1] * 20000 do end return 1",
            0,
            milliseconds,
        )
