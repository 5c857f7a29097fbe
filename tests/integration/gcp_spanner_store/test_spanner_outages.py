"""The server is killed, comes back without its sessions, or hangs: calls fail in time, and answered writes are kept.

These run only on the fake, because we may not kill an emulator that others started.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from time import monotonic
from typing import Any

import pytest
from servers.eventually import eventually
from servers.opened_store import opened
from servers.spanner_server import PATIENCE_S, SpannerDatabase, SpannerFake, fake

from pannier_sidecar.state.errors import ETagMismatchError, OutcomeUnknownError, StoreError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.gcp_spanner.store import SpannerStore

LIMIT_S = 30.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SpannerFake, SpannerDatabase]]:
    with fake(tmp_path_factory.mktemp("spanner")) as both:
        yield both


@pytest.fixture
def server(running: tuple[SpannerFake, SpannerDatabase]) -> Iterator[SpannerFake]:
    yield running[0]
    running[0].resume()


@pytest.fixture
async def store(server: SpannerFake, running: tuple[SpannerFake, SpannerDatabase]) -> AsyncIterator[SpannerStore]:
    async with opened(SpannerStore({**running[1].settings, "timeout": 1.0}), PATIENCE_S) as store:
        yield store


async def test_killed_and_restarted_it_has_what_was_answered(store: SpannerStore, server: SpannerFake) -> None:
    answered = {f"k{number}": b"%d" % number for number in range(50)}
    for key, value in answered.items():
        await store.set(Set(key, value))
    server.kill()
    with pytest.raises(StoreUnavailableError, match=f"Spanner at {server.address} can't be reached"):
        await store.get(Get("k0"))
    server.start()
    await eventually(lambda: store.get(Get("k0")))
    found = await store.bulk_get([Get(key) for key in answered])
    assert [entry and entry.value for entry in found] == list(answered.values())  # type: ignore[union-attr]


async def test_lost_sessions_are_replaced(store: SpannerStore, server: SpannerFake) -> None:
    await asyncio.gather(*(store.set(Set(f"s{number}", b"1")) for number in range(10)))
    server.kill()
    server.start()
    await eventually(store.ping)
    assert await store.bulk_write([Set(f"s{number}", b"2") for number in range(10)]) == [None] * 10
    await store.transact([Set("s1", b"3"), Delete("s2")])


async def test_a_write_to_a_server_that_is_down_did_certainly_not_happen(
    store: SpannerStore, server: SpannerFake
) -> None:
    server.kill()
    try:
        error = await error_of(eventually_unsent(store))
        assert "can't be reached" in str(error)
        assert not isinstance(error, OutcomeUnknownError)
    finally:
        server.start()


async def eventually_unsent(store: SpannerStore) -> None:
    """Write until the client has noticed that the connection is lost; then writes are not sent."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                await store.set(Set("k", b"1"))
            except OutcomeUnknownError:
                await asyncio.sleep(0.05)


async def error_of(call: Awaitable[Any]) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await call
    return caught.value


async def test_a_server_that_hangs_is_not_waited_for_longer_than_the_timeout(
    store: SpannerStore, server: SpannerFake
) -> None:
    await store.set(Set("hung", b"1"))
    server.pause()
    started = monotonic()
    read, write = await asyncio.gather(
        error_of(store.get(Get("hung"))), error_of(store.set(Set("hung", b"2"))), return_exceptions=False
    )
    assert 0.5 < monotonic() - started < LIMIT_S
    assert "did not answer within 1 s (timeout)" in str(read)
    assert not isinstance(read, OutcomeUnknownError)
    assert isinstance(write, StoreUnavailableError)
    server.resume()
    found = await eventually(lambda: store.get(Get("hung")))
    assert found.value in (b"1", b"2")
    await eventually(lambda: store.set(Set("hung", b"3")))
    assert (await eventually(lambda: store.get(Get("hung")))).value == b"3"


async def test_a_call_that_is_given_up_harms_no_other(store: SpannerStore) -> None:
    await store.set(Set("shared", b"0"))
    for _ in range(20):
        calls = [asyncio.create_task(store.set(Set("shared", b"1", if_match="1"))) for _ in range(5)]
        await asyncio.sleep(0.001)
        for call in calls[:4]:
            call.cancel()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(ends[4], ETagMismatchError)
    await store.set(Set("shared", b"2"))
    found = await store.get(Get("shared"))
    assert found is not None
    assert found.value == b"2"


async def test_more_calls_than_sessions_take_turns(running: tuple[SpannerFake, SpannerDatabase]) -> None:
    async with opened(SpannerStore({**running[1].settings, "maxSessions": 2, "timeout": 20.0}), PATIENCE_S) as store:
        await asyncio.gather(*(store.set(Set(f"turn{number}", b"1")) for number in range(50)))
        found = await store.bulk_get([Get(f"turn{number}") for number in range(50)])
        assert all(entry is not None for entry in found)
