"""A write whose answer was lost may have happened: it is not sent again, and the error says so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.eventually import eventually, until
from servers.faulty_proxy import FaultyProxy
from servers.lost_answers import (
    Call,
    answer_held,
    first_of_a_bulk,
    lost,
    lost_behind_another_write,
    outcome,
    request_held,
)
from servers.opened_redis import opened
from servers.redis_server import RedisServer, with_replica

from pannier_sidecar.state.bytes_in_flight import BytesInFlight, Unlimited
from pannier_sidecar.state.changes import UNGIVEN, Increment
from pannier_sidecar.state.directory import ServedStore
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreUnavailableError
from pannier_sidecar.state.hot_keys import HotKeys, Place
from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.redis.store import RedisStore

WRITES: dict[str, Call] = {
    "set": lambda store: store.set(Set("k", b"mine")),
    "set with TTL": lambda store: store.set(Set("k", b"mine", ttl=100)),
    "strong set": lambda store: store.set(Set("k", b"mine", strong=True)),
    "delete": lambda store: store.delete(Delete("k")),
    "strong delete": lambda store: store.delete(Delete("k", strong=True)),
    "transaction": lambda store: store.transact([Set("k", b"mine"), Delete("other")]),
    "strong transaction": lambda store: store.transact([Set("k", b"mine", strong=True)]),
    "bulk": first_of_a_bulk,
    "strong bulk": lambda store: first_of_a_bulk(store, strong=True),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with with_replica(tmp_path_factory.mktemp("redis")) as (primary, _):
        yield primary


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[FaultyProxy]:
    with server.client() as client:
        client.flushall()
    with FaultyProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
async def far(proxy: FaultyProxy) -> AsyncIterator[RedisStore]:
    async with opened({"redisHost": proxy.address}, redisMaxRetries=3) as store:
        await store.set(Set("k", b"before", strong=True))
        yield store


@pytest.fixture
async def near(server: RedisServer) -> AsyncIterator[RedisStore]:
    async with opened(server.settings) as store:
        yield store


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES.keys())
async def test_a_write_that_was_carried_out_is_not_repeated_over_later_writes(
    far: RedisStore, near: RedisStore, proxy: FaultyProxy, call: Call
) -> None:
    writing = await answer_held(proxy, call(far))
    found = await near.get(Get("k"))
    assert getattr(found, "value", b"mine") == b"mine"
    await lost_behind_another_write(proxy, writing, near)
    await eventually(lambda: far.get(Get("k")))
    found = await near.get(Get("k"))
    assert found is not None
    assert found.value == b"theirs"


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES.keys())
async def test_a_write_that_never_reached_the_server_is_unknown_too(
    far: RedisStore, proxy: FaultyProxy, call: Call
) -> None:
    """The client cannot know whether the server received the write."""
    writing = await request_held(proxy, call(far))
    assert type(await lost(proxy, writing)) is OutcomeUnknownError
    found = await eventually(lambda: far.get(Get("k")))
    assert found.value == b"before"


async def test_an_increment_whose_answer_was_lost_is_not_made_twice(
    far: RedisStore, near: RedisStore, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    await near.set(Set("k", b"41"))
    scheme = KeyScheme(store="statestore", app_id="app")
    place = Place(ServedStore("statestore", "state.redis", "v1", far, scheme), "k")
    keys, write = HotKeys(BytesInFlight(2**30, Unlimited())), far.set

    def increment() -> Coroutine[Any, Any, Any]:
        return keys.change(place, Increment("k"), etag=None, ttl=UNGIVEN, strong=False)

    async def write_without_answer(wanted: Set) -> None:
        proxy.hold_answers()
        await write(wanted)

    with monkeypatch.context() as patched:
        patched.setattr(far, "set", write_without_answer)
        both = asyncio.create_task(outcome(asyncio.gather(increment(), increment(), return_exceptions=True)))
        await until(lambda: proxy.held_answers > 0)
        assert [type(error) for error in await lost(proxy, both)] == [OutcomeUnknownError] * 2
    assert (await eventually(increment)).value == 44


async def test_reads_are_repeated(far: RedisStore, proxy: FaultyProxy) -> None:
    reads = asyncio.gather(far.get(Get("k")), far.bulk_get([Get("k"), Get("absent")]))
    found, [first, second] = await lost(proxy, await answer_held(proxy, reads))
    assert found is not None
    assert found.value == b"before"
    assert getattr(first, "value", None) == b"before"
    assert second is None


async def test_a_write_that_was_not_sent_certainly_did_not_happen(tmp_path: Path, subtests: pytest.Subtests) -> None:
    with with_replica(tmp_path) as (primary, _):
        async with opened(primary.settings, dialTimeout=0.3) as store:
            await eventually(lambda: store.set(Set("k", b"before", strong=True)))
            primary.kill()
            with pytest.raises(StoreUnavailableError):
                await eventually_not(lambda: store.get(Get("k")))
            for name, call in WRITES.items():
                with subtests.test(name):
                    assert type(await outcome(call(store))) is StoreUnavailableError


async def eventually_not(call: Callable[[], Awaitable[Any]]) -> None:
    while True:
        await call()
        await asyncio.sleep(0.01)


async def test_two_writes_of_a_key_in_a_bulk_keep_their_order_when_a_script_is_missing(
    server: RedisServer, near: RedisStore
) -> None:
    with server.client() as client:
        client.script_flush()
    assert list(await near.bulk_write([Set("k", b"1"), Delete("k")])) == [None, None]
    assert await near.get(Get("k")) is None
