"""How many round trips the store makes, counted by the server: its speed comes from making few."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from servers.opened_redis import opened
from servers.redis_server import RedisServer, single

from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores.redis.store import RedisStore


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with single(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisStore]:
    async with opened(server.settings) as store:
        yield store


class Counter:
    """Reads of the server from its clients, and the connections it has."""

    def __init__(self, server: RedisServer):
        self._client = server.client()

    def __enter__(self) -> "Counter":
        self._before = self._client.info("stats")
        return self

    def __exit__(self, *_: object) -> None:
        after = self._client.info("stats")
        self.reads = after["total_reads_processed"] - self._before["total_reads_processed"] - 1
        self.connections = after["total_connections_received"] - self._before["total_connections_received"]
        self._client.close()


async def test_a_bulk_read_of_a_hundred_keys_is_one_trip(store: RedisStore, server: RedisServer) -> None:
    await store.bulk_write([Set(f"k{n}", b"%d" % n) for n in range(100)])
    with Counter(server) as count:
        found = await store.bulk_get([Get(f"k{n}") for n in range(100)])
    assert [getattr(each, "value", None) for each in found] == [b"%d" % n for n in range(100)]
    assert (count.reads, count.connections) == (1, 0)


async def test_a_bulk_write_of_a_hundred_keys_is_one_trip(store: RedisStore, server: RedisServer) -> None:
    with Counter(server) as count:
        await store.bulk_write([Set(f"k{n}", b"x") for n in range(100)])
    assert (count.reads, count.connections) == (1, 0)


async def test_calls_of_one_turn_share_one_trip(store: RedisStore, server: RedisServer) -> None:
    await store.set(Set("k", b"1"))
    with Counter(server) as count:
        await asyncio.gather(*(store.get(Get("k")) for _ in range(64)), *(store.set(Set("k", b"2")) for _ in range(16)))
    assert (count.reads, count.connections) == (1, 0)


async def test_a_transaction_is_one_trip(store: RedisStore, server: RedisServer) -> None:
    with Counter(server) as count:
        await store.transact([Set(f"t{n}", b"1") for n in range(50)])
    assert (count.reads, count.connections) == (1, 0)


async def test_a_conditional_write_is_one_trip(store: RedisStore, server: RedisServer) -> None:
    await store.set(Set("k", b"1"))
    found = await store.get(Get("k"))
    assert found is not None
    with Counter(server) as count:
        await store.set(Set("k", b"2", if_match=found.etag, ttl=60))
    assert (count.reads, count.connections) == (1, 0)
