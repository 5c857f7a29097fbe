"""Answers without an end: framed for each version of HTTP, never ahead of the client, and freed as
soon as one side ends them.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
from integration.http_front_end.http_wire import PATIENCE_S, Wire, get, request, serving, until
from servers.limits import http_limits

from pannier_sidecar.http_api.messages import Answer, Call, EndlessAnswer

pytestmark = pytest.mark.transport

CHUNKED_END = b"0\r\n\r\n"


class Source:
    """The parts of one answer: the test adds them, and looks at what was taken."""

    def __init__(self, *parts: bytes, endless: bytes = b"") -> None:
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        for part in parts:
            self._queue.put_nowait(part)
        self._endless = endless
        self.taken = 0
        self.is_closed = False

    def add(self, part: bytes) -> None:
        """Add a part; an empty one ends the answer."""
        self._queue.put_nowait(part)

    def __aiter__(self) -> "Source":
        return self

    async def __anext__(self) -> bytes:
        assert not self.is_closed
        part = self._endless or await self._queue.get()
        if not part:
            raise StopAsyncIteration
        self.taken += len(part)
        return part

    async def aclose(self) -> None:
        assert not self.is_closed
        self.is_closed = True


def streaming(*sources: Source) -> Callable[[Call], Awaitable[Answer]]:
    """Answer `/stream` with one source after the other, and any other path at once."""
    left = list(sources)

    async def answer(call: Call) -> Answer:
        if call.path == b"/stream":
            return EndlessAnswer(200, content_type=b"text/event-stream", parts=left.pop(0))
        return Answer(200, call.path, b"text/plain")

    return answer


async def head_of(wire: Wire) -> bytes:
    async with asyncio.timeout(PATIENCE_S):
        return await wire.reader.readuntil(b"\r\n\r\n")


async def chunk_of(wire: Wire) -> bytes:
    """Read one chunk."""
    async with asyncio.timeout(PATIENCE_S):
        size = int(await wire.reader.readuntil(b"\r\n"), 16)
        return (await wire.reader.readexactly(size + 2)).removesuffix(b"\r\n")


async def test_http_1_1_gets_chunks_and_the_last_one() -> None:
    source = Source(b"one", b"two")
    async with serving(streaming(source)) as here:
        wire = await here.connect()
        await wire.send(get("/stream"))
        head = await head_of(wire)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n") and b"\r\ncontent-type: text/event-stream\r\n" in head
        assert b"\r\ntransfer-encoding: chunked\r\n" in head and b"content-length" not in head
        assert [await chunk_of(wire), await chunk_of(wire)] == [b"one", b"two"]
        source.add(b"three")
        assert await chunk_of(wire) == b"three"
        source.add(b"")
        assert await wire.rest() == CHUNKED_END
        assert source.is_closed


async def test_http_1_0_gets_the_bytes_and_the_end_of_the_connection() -> None:
    source = Source(b"one", b"two", b"")
    async with serving(streaming(source)) as here:
        wire = await here.connect()
        await wire.send(b"GET /stream HTTP/1.0\r\n\r\n")
        head, _, body = (await wire.rest()).partition(b"\r\n\r\n")
        assert b"transfer-encoding" not in head and b"connection: close" in head
        assert body == b"onetwo"


async def test_it_is_the_last_answer_of_its_connection() -> None:
    """Requests that were sent after it are not carried out, which `connection: close` says."""
    for after in (get("/2"), get("/2") * 3, get("/2")[:-1], request("POST", "/2", b"x" * 1000)[:-1], b"no request\r\n"):
        source = Source(b"one")
        async with serving(streaming(source)) as here:
            wire = await here.connect()
            await wire.send(get("/1") + get("/stream") + after)
            assert (await wire.answer()).body == b"/1"
            assert b"\r\nconnection: close\r\n" in await head_of(wire)
            assert await chunk_of(wire) == b"one"
            await wire.send(get("/3"))
            source.add(b"two")
            assert await chunk_of(wire) == b"two"
            source.add(b"")
            assert await wire.rest() == CHUNKED_END


async def test_a_client_that_goes_away_frees_it_at_once() -> None:
    ways: dict[str, Callable[[Wire], object]] = {
        "closes": lambda wire: wire.writer.close(),
        "closes its side": lambda wire: wire.writer.write_eof(),
        "resets": lambda wire: wire.reset(),
    }
    for what, leave in ways.items():
        for pipelined in (b"", get("/2") * 3):
            source = Source(b"one")
            async with serving(streaming(source)) as here:
                wire = await here.connect()
                await wire.send(get("/stream") + pipelined)
                await head_of(wire)
                await chunk_of(wire)
                leave(wire)
                await until(lambda: source.is_closed, f"free: {what}")  # noqa: B023
                await until(lambda: not here.listener.open, f"closed: {what}")


async def test_a_client_that_leaves_while_it_is_being_opened_frees_it_too() -> None:
    opened = asyncio.Event()
    sources: list[Source] = []

    async def answer(call: Call) -> Answer:
        await opened.wait()
        sources.append(Source(b"one"))
        return EndlessAnswer(200, parts=sources[-1])

    async with serving(answer) as here:
        closed, reset = await here.connect(), await here.connect()
        for wire in here.wires:
            await wire.send(get("/stream"))
        await until(lambda: len(here.listener.open) == 2, "both connections")
        reset.reset()
        closed.writer.close()
        await until(lambda: len(here.listener.open) == 1, "the reset noticed")
        opened.set()
        await until(lambda: len(sources) == 2 and all(each.is_closed for each in sources), "both free")
        await until(lambda: not here.listener.open, "both closed")


async def test_a_part_is_asked_for_only_when_the_client_can_take_it() -> None:
    source = Source(endless=b"x" * 1000)
    async with serving(streaming(source)) as here:
        wire = await here.connect(receive_buffer=4096)
        await wire.send(get("/stream"))
        await until(lambda: here.listener.held > 0, "the client behind")
        await asyncio.sleep(0.1)
        taken, held = source.taken, here.listener.held
        assert held < 64 * 1024
        await asyncio.sleep(0.1)
        assert source.taken == taken, "it went on although the client read nothing"
        await head_of(wire)
        async with asyncio.timeout(PATIENCE_S):
            await wire.reader.readexactly(taken)
        await until(lambda: source.taken > taken, "it went on when the client read")


async def test_a_client_that_reads_nothing_for_too_long_is_given_up() -> None:
    source = Source(endless=b"x" * 1000)
    async with serving(streaming(source), limits=http_limits(stalled=5.0)) as here:
        wire = await here.connect(receive_buffer=4096)
        await wire.send(get("/stream"))
        await until(lambda: here.listener.held > 0, "the client behind")
        here.pass_time(1.0)
        assert not source.is_closed
        here.pass_time(6.0)
        await until(lambda: source.is_closed, "given up")


async def test_a_quiet_one_lives_on_and_makes_no_way_for_other_connections() -> None:
    source = Source(b"one")
    async with serving(streaming(source), limits=http_limits(connections=2)) as here:
        wire = await here.connect()
        await wire.send(get("/stream"))
        await head_of(wire)
        await chunk_of(wire)
        for _ in range(5):
            here.pass_time(1000.0)
            other = await here.connect()
            assert (await other.ask(get("/1"))).status == 200
        source.add(b"two")
        assert await chunk_of(wire) == b"two"


async def test_a_client_may_not_send_without_an_end_meanwhile() -> None:
    source = Source(b"one")
    async with serving(streaming(source)) as here:
        wire = await here.connect()
        await wire.send(get("/stream"))
        await head_of(wire)
        with pytest.raises((ConnectionError, TimeoutError)):
            for _ in range(10_000):
                await wire.send(b"x" * 1000)
        await until(lambda: source.is_closed, "given up")


async def test_the_end_of_the_sidecar_ends_it_whole_and_waits_for_no_client() -> None:
    quiet, behind = Source(b"one"), Source(endless=b"x" * 1000)
    async with serving(streaming(quiet, behind), limits=http_limits(lingering=0.2)) as here:
        wire = await here.connect()
        await wire.send(get("/stream"))
        await head_of(wire)
        await chunk_of(wire)
        stalled = await here.connect(receive_buffer=4096)
        await stalled.send(get("/stream"))
        await until(lambda: here.listener.held > 0, "the other client behind")
        stopping = asyncio.create_task(here.server.stop(PATIENCE_S * 10))
        assert await wire.rest() == CHUNKED_END
        async with asyncio.timeout(PATIENCE_S):
            await stopping
        assert quiet.is_closed and behind.is_closed


async def test_one_that_is_asked_for_while_the_sidecar_stops_ends_at_once() -> None:
    source, opened = Source(), asyncio.Event()

    async def answer(call: Call) -> Answer:
        await opened.wait()
        return EndlessAnswer(200, parts=source)

    async with serving(answer) as here:
        wire = await here.connect()
        await wire.send(get("/stream"))
        await until(lambda: bool(here.listener.open), "the connection")
        stopping = asyncio.create_task(here.server.stop(PATIENCE_S))
        await until(lambda: here.listener.is_draining, "the drain")
        opened.set()
        assert (await wire.rest()).endswith(CHUNKED_END)
        assert source.is_closed
        await stopping


async def test_a_failure_in_the_middle_does_not_look_like_the_end() -> None:
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)  # it reports the defect

    class Failing(Source):
        async def __anext__(self) -> bytes:
            if self.taken:
                raise ValueError("a defect")
            return await super().__anext__()

    source = Failing(b"one")
    async with serving(streaming(source)) as here:
        wire = await here.connect()
        await wire.send(get("/stream"))
        await head_of(wire)
        assert await wire.rest() == b"3\r\none\r\n"
        assert source.is_closed


async def test_a_peer_that_has_vanished_is_found_by_the_kernel() -> None:
    source = Source(b"one")
    async with serving(streaming(source)) as here:
        wire = await here.connect()
        await wire.send(get("/stream"))
        await head_of(wire)
        (connection,) = here.connections
        sock = connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 25_000
