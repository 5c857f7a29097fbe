"""How calls and connections end: deadlines, cancellation, keep-alive, and the end of the sidecar."""

import asyncio

import pytest
from integration.grpc_front_end.grpc_wire import GET, Serving, data, framed, get, is_well, serving
from integration.grpc_front_end.slow_store import SlowStore
from servers.limits import grpc_limits

from pannier_sidecar import serving as serving_clock
from pannier_sidecar.http2 import frames
from pannier_sidecar.http2.frames import ErrorCode


async def test_a_deadline_ends_the_call_and_the_work_for_it(subtests: pytest.Subtests) -> None:
    for timeout in ("50m", "50000u", "1n"):
        with subtests.test(timeout):
            store = SlowStore()
            async with serving(store) as here:
                client = await here.connect()
                assert (await client.ask(GET, get("slow"), ("grpc-timeout", timeout))).status == 4
                await here.until(lambda store=store: store.cancelled == store.begun.is_set(), "cancelled")


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_call_that_is_given_up_is_no_longer_worked_on(leaves: bool) -> None:
    store = SlowStore()
    async with serving(store) as here:
        client = await here.connect()
        stream = client.call(GET, get("slow"))
        async with asyncio.timeout(20):
            await store.begun.wait()
        if leaves:
            client.writer.transport.abort()
        else:
            client.send(frames.rst_stream(stream, ErrorCode.CANCEL))
        await here.until(lambda: store.cancelled == 1, "cancelled")
        await is_well(here)


@pytest.mark.transport
async def test_streams_over_the_limit_are_refused_for_another_try() -> None:
    store = SlowStore()
    async with serving(store, limits=grpc_limits(streams=4)) as here:
        client = await here.connect()
        streams = [client.call(GET, get("slow")) for _ in range(4)]
        assert (await client.answer(client.call(GET, get("k")))).reset == ErrorCode.REFUSED_STREAM
        store.go_on.set()
        for stream in streams:
            assert (await client.answer(stream)).status == 0
        assert (await client.ask(GET, get("k"))).status == 0


def at_rest(here: Serving) -> int:
    return sum(connection.waits() is not None for connection in here.listener.open)


@pytest.mark.transport
async def test_the_connection_that_has_waited_longest_gives_way() -> None:
    store = SlowStore()
    async with serving(store, limits=grpc_limits(connections=3)) as here:
        working, begun, idle = [await here.connect() for _ in range(3)]
        stream = working.call(GET, get("slow"))
        begun.begin("GetState")
        await here.until(lambda: at_rest(here) == 2, "a call at work")
        for left, waiting in ((1, begun), (0, idle)):
            other = await here.connect()
            other.call(GET, get("slow"))
            await here.until(lambda left=left: at_rest(here) == left, "another one at work")
            assert await waiting.until_closed() == ErrorCode.NO_ERROR
        assert await (await here.connect()).until_closed() == ErrorCode.ENHANCE_YOUR_CALM
        store.go_on.set()
        assert (await working.answer(stream)).status == 0


@pytest.mark.transport
async def test_a_drain_lets_calls_end_and_accepts_no_more() -> None:
    store = SlowStore()
    async with serving(store) as here:
        client, idle = await here.connect(), await here.connect()
        watcher = await here.connect()
        watch = watcher.begin("Watch", service="grpc.health.v1.Health")
        watcher.send(data(watch, framed(b"")))
        await here.until(lambda: len(here.listener.open) == 3, "open")
        stream = client.call(GET, get("slow"))
        async with asyncio.timeout(20):
            await store.begun.wait()
        while watch not in watcher.answers or not watcher.answers[watch].data:
            assert await watcher.read()
        stopping = asyncio.create_task(here.server.stop(30))
        assert await idle.until_closed() == ErrorCode.NO_ERROR
        assert (await watcher.answer(watch)).status == 14
        while client.last_taken != stream:
            assert await client.read()
        assert (await client.answer(client.call(GET, get("k")))).reset == ErrorCode.REFUSED_STREAM
        store.go_on.set()
        assert (await client.answer(stream)).status == 0
        assert await client.until_closed() == ErrorCode.NO_ERROR
        await stopping


@pytest.mark.transport
async def test_a_call_that_crosses_the_first_goaway_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_clock, "TICK_S", 1000)  # only the answer to its PING shows that to the server
    async with serving() as here:
        client = await here.connect()
        client.answers_pings = False
        stopping = asyncio.create_task(here.server.stop(30))
        while not client.asked:
            assert await client.read()
        assert (client.goaway, client.last_taken) == (ErrorCode.NO_ERROR, frames.MAX_WINDOW)
        crossing = client.call(GET, get("k"))
        client.answer_ping()
        assert (await client.answer(crossing)).status == 0
        assert await client.until_closed() == ErrorCode.NO_ERROR
        assert client.last_taken == crossing
        await stopping


@pytest.mark.transport
async def test_a_drain_does_not_wait_for_a_silent_client(fast_clock: None) -> None:
    async with serving() as here:
        client = await here.connect()
        client.answers_pings = False
        async with asyncio.timeout(20):
            await here.server.stop(1000)
        assert await client.until_closed() == ErrorCode.NO_ERROR


@pytest.mark.transport
async def test_a_client_that_vanished_is_found_out(fast_clock: None) -> None:
    async with serving(limits=grpc_limits(silence=0.1, pong=0.1)) as here:
        client = await here.connect()
        client.answers_pings = False
        assert await client.until_closed() == ErrorCode.NO_ERROR
        assert len(client.asked) == 1


@pytest.mark.transport
async def test_a_client_that_is_merely_idle_is_kept(fast_clock: None) -> None:
    async with serving(limits=grpc_limits(silence=0.1, pong=60)) as here:
        client = await here.connect()
        while len(client.asked) < 3:
            assert await client.read()
        assert (await client.ask(GET, get("k"))).status == 0


async def test_without_the_token_nothing_is_shown(subtests: pytest.Subtests) -> None:
    async with serving(token="sesame") as here:
        for given in ((), (("dapr-api-token", ""),), (("dapr-api-token", "Sesame"),)):
            with subtests.test(str(given)):
                client = await here.connect()
                for method in (GET, "GetMetadata", "Shutdown", "NoSuchMethod"):
                    answer = await client.ask(method, b"", *given)
                    assert (answer.status, answer.headers["grpc-message"]) == (16, "Unauthorized")
                assert (await client.ask(GET, get("k"), ("dapr-api-token", "sesame"))).status == 0


@pytest.mark.transport
async def test_a_ping_is_answered_while_a_call_takes_long() -> None:
    store = SlowStore()
    async with serving(store) as here:
        client = await here.connect()
        client.call(GET, get("slow"))
        async with asyncio.timeout(20):
            await store.begun.wait()
        client.send(frames.frame(frames.PING, 0, 0, b"12345678"))
        while not client.pings:
            assert await client.read()
        store.go_on.set()
