"""What is reported of a Consul through restarts, silence, cuts and expiries, and what it costs the server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from conformance.feeds import Followed, end_of, followed, reported
from servers.consul_server import ConsulServer, single
from servers.cutting_proxy import CuttingProxy
from servers.eventually import eventually, until
from servers.opened_store import nothing_left

from pannier_sidecar.state import polling
from pannier_sidecar.state.errors import StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Set
from pannier_sidecar.stores.consul.store import ConsulStore

pytestmark = pytest.mark.over("consul")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ConsulServer]:
    with single(tmp_path) as server:
        yield server


@asynccontextmanager
async def watched(address: str, timeout: float = 5.0) -> AsyncIterator[tuple[ConsulStore, Followed]]:
    store = ConsulStore({"httpAddr": address, "timeout": timeout})
    await store.open()
    try:
        async with followed(store, "a||") as feed:
            yield store, feed
    finally:
        await store.close()


async def test_a_feed_ends_with_its_server_and_another_begins(server: ConsulServer) -> None:
    async with nothing_left(10.0), watched(server.address) as (store, feed):
        await store.set(Set("a||1", b"1"))
        await feed.until_now()
        server.kill()
        assert isinstance(await end_of(feed), StoreUnavailableError)
        await asyncio.to_thread(server.start)
        await eventually(lambda: store.delete(Delete("a||1")))
        async with followed(store, "a||") as later:
            await store.set(Set("a||1", b"2"))
            await later.until_now()
            assert reported(later) == [("a||1", True)]


async def test_silence_ends_a_feed_in_time(server: ConsulServer) -> None:
    async with watched(server.address, timeout=1.0) as (_, feed):
        server.pause()
        assert "did not answer within 1 s" in str(await end_of(feed))
        server.resume()


async def test_cut_and_half_open_connections_lose_nothing(server: ConsulServer) -> None:
    async with CuttingProxy(server.port) as proxy, watched(proxy.address, timeout=1.0) as (store, feed):
        for number in range(5):
            await proxy.end_all()  # the query that waits is repeated, as any read is
            await store.set(Set(f"a||{number}", b"1"))
            await feed.until_now()
        assert {key for key, _ in reported(feed)} == {f"a||{number}" for number in range(5)}
        proxy.is_silent = True
        assert isinstance(await end_of(feed), StoreUnavailableError)


async def test_a_query_that_is_never_answered_delays_a_change_by_a_second_at_most(server: ConsulServer) -> None:
    async with CuttingProxy(server.port) as proxy:
        proxy.arm("after", b"&wait=")
        async with watched(proxy.address) as (store, feed):
            waiting = asyncio.create_task(feed.until_now())
            await proxy.met()
            await waiting
            await store.set(Set("a||1", b"1"))
            await feed.until_now()
            assert reported(feed) == [("a||1", True)]


async def test_expired_keys_are_reported_once_and_their_removal_is_not(server: ConsulServer) -> None:
    async with watched(server.address) as (store, feed):
        await store.bulk_write([Set(f"a||{number}", b"1", ttl=2) for number in range(3)])
        await feed.until(lambda _: len(reported(feed)) >= 6)
        for number in range(3):
            server.ask("DELETE", f"/v1/kv/a||{number}")
        await store.set(Set("a||last", b"1"))
        await feed.until_now()
        gone = sorted(key for key, is_there in reported(feed) if not is_there)
        assert gone == ["a||0", "a||1", "a||2"]


async def test_what_others_restore_or_write_without_us_is_reported(server: ConsulServer) -> None:
    async with watched(server.address) as (store, feed):
        await store.set(Set("a||1", b"1"))
        await feed.until_now()
        snapshot = server.ask("GET", "/v1/snapshot")
        await store.set(Set("a||1", b"2"))
        await store.set(Set("a||2", b"1"))
        await feed.until_now()
        server.ask("PUT", "/v1/snapshot", snapshot)
        await feed.until(lambda _: ("a||2", False) in reported(feed))
        assert reported(feed)[-2:] != [("a||1", True), ("a||2", True)]


async def test_too_many_keys_are_refused(server: ConsulServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pannier_sidecar.stores.consul.feed.MAX_KEYS", 3)
    async with watched(server.address) as (store, feed):
        for number in range(4):
            await store.set(Set(f"a||{number}", b"1"))
        error = await end_of(feed)
        assert isinstance(error, StoreRefusedError)
        assert "compar" in str(error) and str(polling.too_many_keys()) == str(error)


async def test_closing_a_feed_ends_its_query(server: ConsulServer) -> None:
    async with CuttingProxy(server.port) as proxy:
        async with watched(proxy.address) as (_, feed):
            await feed.until_now()
            await feed.close()
        await until(lambda: proxy.now == 0)
