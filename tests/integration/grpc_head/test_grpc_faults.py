"""Clients that break rules, flood, stall or vanish: they are refused, others are served, and nothing is left."""

import asyncio
import gzip
import random

import pytest
from integration.grpc_head.grpc_wire import GET, SAVE, Client, Serving, data, framed, get, save, serving

from pannier_sidecar import serving as clock
from pannier_sidecar.grpc_api import frames
from pannier_sidecar.grpc_api.frames import ErrorCode
from pannier_sidecar.grpc_api.lane import Limits
from pannier_sidecar.state.requests import Get
from pannier_sidecar.state.store import StoredValue
from pannier_sidecar.stores.in_memory import InMemoryStore

INITIAL = frames.INITIAL_WINDOW_SIZE


@pytest.fixture
def fast_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "TICK_S", 0.05)


async def is_well(here: Serving) -> None:
    """Another client is served."""
    client = await here.connect()
    assert (await client.ask(SAVE, save("well", b"1"))).status == 0
    assert b"1" in (await client.ask(GET, get("well"))).data


class SlowStore(InMemoryStore):
    """A get of `slow` takes as long as it is let."""

    def __init__(self) -> None:
        super().__init__({})
        self.begun, self.go_on, self.cancelled = asyncio.Event(), asyncio.Event(), 0

    async def get(self, get: Get) -> StoredValue | None:
        if get.key.endswith("slow"):
            self.begun.set()
            try:
                await self.go_on.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return await super().get(get)


# --- any bytes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
async def test_random_and_changed_frames_harm_nobody(seed: int) -> None:
    chance = random.Random(seed)
    async with serving() as here:
        for number in range(60):
            client = await here.connect()
            recorded = bytearray()
            client.send = lambda *parts, to=recorded: to.extend(b"".join(parts))  # type: ignore[method-assign]
            client.call(SAVE, save("k", b"v" * chance.randrange(400)))
            client.call(GET, get("k"), ("grpc-timeout", "5S"))
            del client.send  # type: ignore[method-assign]
            for _ in range(chance.randrange(1, 6)):
                if number % 2:
                    recorded[chance.randrange(len(recorded))] = chance.randrange(256)
                else:
                    noise = chance.randbytes(chance.randrange(40))
                    at = chance.randrange(len(recorded))
                    stream, kind, flags = chance.randrange(6), chance.randrange(12), chance.randrange(256)
                    recorded[at:at] = frames.frame(kind, flags, stream, noise) if chance.random() < 0.7 else noise
            client.send(bytes(recorded))
            await asyncio.sleep(0)
            await client.close()
        await is_well(here)


async def test_http_1_gets_a_clean_end() -> None:
    async with serving() as here:
        client = await here.connect(greets=False)
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await client.until_closed() == ErrorCode.PROTOCOL_ERROR
        await is_well(here)


# --- floods -----------------------------------------------------------------------------------------------------------


async def flooded(here: Serving, client: Client, *parts: bytes) -> int | None:
    try:
        for _ in range(400):
            client.send(*parts)
            await client.writer.drain()
    except ConnectionError:
        pass
    return await client.until_closed()


@pytest.mark.parametrize(
    "flood",
    [
        frames.frame(frames.PING, 0, 0, b"12345678"),
        frames.settings({INITIAL: 65_535}),
        frames.frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\1"),
        frames.frame(frames.DATA, 0, 1),
    ],
    ids=["ping", "settings", "priority", "empty data"],
)
async def test_a_flood_of_frames_that_carry_nothing_is_ended(flood: bytes) -> None:
    async with serving() as here:
        client = await here.connect()
        client.begin(SAVE)
        assert await flooded(here, client, flood * 100) in (ErrorCode.ENHANCE_YOUR_CALM, None)
        await here.until(lambda: not here.lanes.open, "end")
        await is_well(here)


async def test_endless_header_blocks_are_ended() -> None:
    async with serving() as here:
        client = await here.connect()
        client.send(frames.frame(frames.HEADERS, 0, 1, b"\x82"))
        await flooded(here, client, frames.frame(frames.CONTINUATION, 0, 1, b"\x82" * 1000))
        await here.until(lambda: not here.lanes.open, "end")
        await is_well(here)


async def test_rapid_reset_is_ended() -> None:
    async with serving() as here:
        client = await here.connect()
        for _ in range(1000):
            client.send(frames.rst_stream(client.call(GET, get("k")), ErrorCode.CANCEL))
        assert await client.until_closed() in (ErrorCode.ENHANCE_YOUR_CALM, None)
        await is_well(here)


async def test_a_thousand_connections_come_and_go() -> None:
    async with serving() as here:
        for _ in range(20):
            batch = [await here.connect(greets=bool(n % 3)) for n in range(50)]
            for number, client in enumerate(batch):
                if number % 2 and number % 3:
                    client.begin(SAVE)
                client.writer.transport.abort()
        here.clients.clear()
        await here.until(lambda: not here.lanes.open, "end")
        await is_well(here)


# --- flow control -----------------------------------------------------------------------------------------------------


async def test_a_hundred_streams_share_small_windows() -> None:
    async with serving() as here:
        client = await here.connect({INITIAL: 1000})
        values = {f"k{n}": random.Random(n).randbytes(3_000 + 97 * n) for n in range(100)}
        for key, value in values.items():
            assert (await client.ask(SAVE, save(key, value))).status == 0
        streams = {client.call(GET, get(key)): value for key, value in values.items()}
        granted: dict[int, int] = {}
        while not all(stream in client.answers and client.answers[stream].is_ended for stream in streams):
            assert await client.read()
            for stream in streams:
                size = len(client.answers[stream].data) if stream in client.answers else 0
                if size > granted.get(stream, 0):
                    step = size - granted.get(stream, 0)
                    client.send(frames.window_update(0, step), frames.window_update(stream, step))
                    granted[stream] = size
        for stream, value in streams.items():
            answer = client.answers[stream]
            assert answer.status == 0
            assert value in answer.data
            assert int.from_bytes(answer.data[1:5], "big") == len(answer.data) - 5


async def test_a_window_opened_byte_by_byte_lets_the_answer_through() -> None:
    async with serving() as here:
        client, writer = await here.connect({INITIAL: 0}), await here.connect()
        assert (await writer.ask(SAVE, save("k", b"0123456789"))).status == 0
        stream = client.call(GET, get("k"))
        while not (stream in client.answers and client.answers[stream].is_ended):
            client.send(frames.window_update(stream, 1))
            assert await client.read()
        assert b"0123456789" in client.answers[stream].data


async def test_a_client_that_opens_no_window_is_not_waited_for(fast_clock: None) -> None:
    async with serving(limits=Limits(stalled=0.2)) as here:
        client, writer = await here.connect({INITIAL: 0}), await here.connect()
        await writer.ask(SAVE, save("k", b"v" * 1000))
        assert (await client.answer(client.call(GET, get("k")))).reset == ErrorCode.CANCEL


async def test_a_client_that_never_reads_is_let_go(fast_clock: None) -> None:
    async with serving(limits=Limits(stalled=0.2)) as here:
        client = await here.connect({INITIAL: frames.MAX_WINDOW})
        client.send(frames.window_update(0, 2**30))
        await client.ask(SAVE, save("k", b"v" * 3_000_000))
        for _ in range(20):
            client.call(GET, get("k"))
        await here.until(lambda: not here.lanes.open, "end")
        await is_well(here)


# --- messages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "content", "status"),
    [
        ((), framed(b"x" * 70_000), 8),
        ((), framed(b"")[:3], 13),
        ((), framed(get("k")) * 2, 13),
        ((), framed(b"\xff\xff\xff"), 13),
        ((("grpc-encoding", "gzip"),), framed(gzip.compress(get("k")), is_compressed=True), 0),
        ((("grpc-encoding", "gzip"),), framed(gzip.compress(b"\0" * 10_000_000), is_compressed=True), 8),
        ((("grpc-encoding", "gzip"),), framed(gzip.compress(get("k"))[:-9], is_compressed=True), 13),
        ((("grpc-encoding", "gzip"),), framed(b"no gzip", is_compressed=True), 13),
        ((("grpc-encoding", "snappy"),), framed(b"x", is_compressed=True), 12),
        ((("grpc-timeout", "soon"),), framed(get("k")), 13),
        ((("grpc-timeout", "123456789S"),), framed(get("k")), 13),
        ((("content-length", "12"),), framed(get("k")), None),
    ],
)
async def test_requests_end_with_a_status(extra: tuple[tuple[str, str], ...], content: bytes, status: int) -> None:
    async with serving(limits=Limits(message=65_536)) as here:
        client = await here.connect()
        stream = client.begin(GET, *extra)
        client.send(data(stream, content))
        answer = await client.answer(stream)
        if status is None:
            assert answer.reset == ErrorCode.PROTOCOL_ERROR
        else:
            assert answer.status == status, answer
        assert here.lanes.held == 0
        assert (await client.ask(GET, get("k"))).status == 0


async def test_trailers_of_a_client_end_its_request() -> None:
    async with serving() as here:
        client = await here.connect()
        stream = client.begin(GET, ("content-length", str(len(framed(get("k"))))))
        client.send(data(stream, framed(get("k")), is_last=False))
        flags = frames.END_HEADERS | frames.END_STREAM
        client.send(frames.frame(frames.HEADERS, flags, stream, client.encoder.encode([("x-checksum", "1")])))
        assert (await client.answer(stream)).status == 0


@pytest.mark.parametrize("content", [b"", framed(get("k"))[:7]])
async def test_a_request_that_arrives_by_half_is_given_up(fast_clock: None, content: bytes) -> None:
    async with serving(limits=Limits(receiving=0.2)) as here:
        client = await here.connect()
        stream = client.begin(GET)
        if content:
            client.send(data(stream, content, is_last=False))
        assert (await client.answer(stream)).status == 1
        assert here.lanes.held == 0
        assert (await client.ask(GET, get("k"))).status == 0


@pytest.mark.parametrize("part", [b"\0\0", frames.frame(frames.HEADERS, 0, 1, b"\x82")])
async def test_a_frame_that_arrives_by_half_ends_the_connection(fast_clock: None, part: bytes) -> None:
    async with serving(limits=Limits(receiving=0.2)) as here:
        client = await here.connect()
        client.send(part)
        assert await client.until_closed() == ErrorCode.ENHANCE_YOUR_CALM


async def test_requests_of_all_clients_together_have_a_limit() -> None:
    async with serving(limits=Limits(all_messages=100_000)) as here:
        first, second = await here.connect(), await here.connect()
        stream = first.begin(SAVE)
        first.send(data(stream, framed(b"x" * 90_000)[:-1], is_last=False))
        await here.until(lambda: here.lanes.held > 80_000, "held")
        assert (await second.ask(SAVE, b"x" * 30_000)).status == 8
        assert (await second.ask(GET, get("k"))).status == 0


# --- deadlines, cancellation, the end ---------------------------------------------------------------------------------


async def test_a_deadline_ends_the_call_and_the_work_for_it() -> None:
    store = SlowStore()
    async with serving(store) as here:
        client = await here.connect()
        assert (await client.ask(GET, get("slow"), ("grpc-timeout", "50m"))).status == 4
        await here.until(lambda: store.cancelled == 1, "cancelled")


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_call_that_is_given_up_is_worked_on_no_more(leaves: bool) -> None:
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


async def test_streams_over_the_limit_are_refused_for_another_try() -> None:
    store = SlowStore()
    async with serving(store, limits=Limits(streams=4)) as here:
        client = await here.connect()
        streams = [client.call(GET, get("slow")) for _ in range(4)]
        assert (await client.answer(client.call(GET, get("k")))).reset == ErrorCode.REFUSED_STREAM
        store.go_on.set()
        for stream in streams:
            assert (await client.answer(stream)).status == 0
        assert (await client.ask(GET, get("k"))).status == 0


async def test_a_drain_lets_calls_end_and_takes_no_more() -> None:
    store = SlowStore()
    async with serving(store) as here:
        client, idle = await here.connect(), await here.connect()
        watcher = await here.connect()
        watch = watcher.begin("Watch", service="grpc.health.v1.Health")
        watcher.send(data(watch, framed(b"")))
        await here.until(lambda: len(here.lanes.open) == 3, "open")
        stream = client.call(GET, get("slow"))
        async with asyncio.timeout(20):
            await store.begun.wait()
        while watch not in watcher.answers or not watcher.answers[watch].data:
            assert await watcher.read()
        stopping = asyncio.create_task(here.server.stop(30))
        assert await idle.until_closed() == ErrorCode.NO_ERROR
        assert (await watcher.answer(watch)).status == 14
        assert (await client.answer(client.call(GET, get("k")))).reset == ErrorCode.REFUSED_STREAM
        store.go_on.set()
        assert (await client.answer(stream)).status == 0
        assert await client.until_closed() == ErrorCode.NO_ERROR
        await stopping


@pytest.mark.parametrize("given", [(), (("dapr-api-token", ""),), (("dapr-api-token", "Sesame"),)])
async def test_without_the_token_nothing_is_told(given: tuple[tuple[str, str], ...]) -> None:
    async with serving(token="sesame") as here:
        client = await here.connect()
        for method in (GET, "GetMetadata", "Shutdown", "NoSuchMethod"):
            answer = await client.ask(method, b"", *given)
            assert (answer.status, answer.headers["grpc-message"]) == (16, "Unauthorized")
        assert (await client.ask(GET, get("k"), ("dapr-api-token", "sesame"))).status == 0


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
