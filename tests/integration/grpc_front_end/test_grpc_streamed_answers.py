"""Answers of many messages: never ahead of the client, and freed as soon as one side ends them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from integration.grpc_front_end.grpc_wire import Answer, Client, Serving, framed, serving
from servers.limits import grpc_limits

from pannier_sidecar.grpc_api.limits import Limits
from pannier_sidecar.grpc_api.method import Messages, streamed
from pannier_sidecar.grpc_api.status import Code, StatusError
from pannier_sidecar.http2 import frames
from pannier_sidecar.http2.frames import ErrorCode

pytestmark = pytest.mark.transport

INITIAL = frames.INITIAL_WINDOW_SIZE


class Source:
    """The messages of one answer: the test adds them, and looks at what was taken."""

    def __init__(self, *added: bytes | StatusError | None, endless: bytes = b"") -> None:
        self._queue: asyncio.Queue[bytes | StatusError | None] = asyncio.Queue()
        for one in added:
            self._queue.put_nowait(one)
        self._endless = endless
        self.taken = 0
        self.is_closed = False

    def add(self, one: bytes | StatusError | None) -> None:
        """Add a message, a failure, or the end."""
        self._queue.put_nowait(one)

    def __aiter__(self) -> "Source":
        return self

    async def __anext__(self) -> bytes:
        assert not self.is_closed
        one = self._endless or await self._queue.get()
        if one is None:
            raise StopAsyncIteration
        if isinstance(one, StatusError):
            raise one
        self.taken += 1
        return one

    async def aclose(self) -> None:
        assert not self.is_closed
        self.is_closed = True


@asynccontextmanager
async def streaming(*sources: Source, limits: Limits | None = None) -> AsyncIterator[Serving]:
    """Serve one source after the other, to calls of any method."""
    left = list(sources)

    async def begin(message: bytes, headers: object) -> Messages:
        return left.pop(0)

    method = streamed(begin)
    async with serving(limits=limits) as here:
        here.listener.find = lambda path, headers: method
        yield here


async def until_data(client: Client, stream: int, expected: bytes) -> Answer:
    while stream not in client.answers or len(client.answers[stream].data) < len(expected):
        assert await client.read()
    assert client.answers[stream].data == expected
    return client.answers[stream]


async def test_each_message_is_sent_when_it_is_there() -> None:
    source = Source(b"one", b"two")
    async with streaming(source) as here:
        client = await here.connect()
        stream = client.call("Watch", b"")
        await until_data(client, stream, framed(b"one") + framed(b"two"))
        source.add(b"three")
        answer = await until_data(client, stream, framed(b"one") + framed(b"two") + framed(b"three"))
        assert not answer.is_ended and answer.headers["content-type"] == "application/grpc"
        source.add(None)
        assert (await client.answer(stream)).status == Code.OK
        assert source.is_closed


async def test_it_may_fail_at_any_time() -> None:
    failure = StatusError(Code.UNAVAILABLE, "it is gone")
    for before in ([], [b"one"]):
        source = Source(*before, failure)
        async with streaming(source) as here:
            client = await here.connect()
            answer = await client.answer(client.call("Watch", b""))
            assert (answer.status, answer.headers["grpc-message"]) == (Code.UNAVAILABLE, "it is gone")
            assert answer.data == b"".join(map(framed, before))
            assert source.is_closed


async def test_a_client_that_goes_away_frees_it_at_once() -> None:
    for what in ("cancels", "closes", "aborts", "deadline"):
        source = Source(b"one")
        async with streaming(source) as here:
            client = await here.connect()
            stream = client.call("Watch", b"", *([("grpc-timeout", "300m")] if what == "deadline" else []))
            await until_data(client, stream, framed(b"one"))
            if what == "cancels":
                client.send(frames.rst_stream(stream, ErrorCode.CANCEL))
            elif what == "closes":
                await client.close()
            elif what == "aborts":
                client.writer.transport.abort()
            else:
                assert (await client.answer(stream)).status == Code.DEADLINE_EXCEEDED
            await here.until(lambda: source.is_closed, f"free: {what}")  # noqa: B023


async def test_a_message_is_asked_for_only_when_the_client_has_taken_those_before() -> None:
    source = Source(endless=b"x" * 1000)
    size = len(framed(b"x" * 1000))
    async with streaming(source) as here:
        client = await here.connect({INITIAL: 2500})
        stream = client.call("Watch", b"")
        while stream not in client.answers or len(client.answers[stream].data) < 2500:
            assert await client.read()
        await asyncio.sleep(0.1)
        assert source.taken == 3, "it went on although the window is closed"
        client.send(frames.window_update(stream, 4 * size))
        while len(client.answers[stream].data) < 2500 + 4 * size:
            assert await client.read()
        await asyncio.sleep(0.1)
        assert source.taken == 7


async def test_a_client_that_reads_nothing_holds_up_nobody(fast_clock: None) -> None:
    """Its windows are open, but its socket is full."""
    source, other = Source(endless=b"x" * 1000), Source(b"one")
    async with streaming(source, other, limits=grpc_limits(stalled=1.0)) as here:
        client = await here.connect({INITIAL: 2**31 - 1})
        client.send(frames.window_update(0, 2**31 - 1 - 65535))
        client.call("Watch", b"")
        await here.until(lambda: here.listener.held > 0, "the client behind")
        assert here.listener.held < 1024 * 1024
        second = await here.connect()
        await until_data(second, second.call("Watch", b""), framed(b"one"))
        await here.until(lambda: source.is_closed, "given up")
        client.writer.transport.abort()


async def test_a_client_that_opens_no_window_is_given_up(fast_clock: None) -> None:
    source = Source(endless=b"x" * 1000)
    async with streaming(source, limits=grpc_limits(stalled=0.2)) as here:
        client = await here.connect({INITIAL: 0})
        assert (await client.answer(client.call("Watch", b""))).reset == ErrorCode.CANCEL
        assert source.is_closed


async def test_many_on_one_connection_count_as_its_streams() -> None:
    sources = [Source(b"%d" % number) for number in range(4)]
    async with streaming(*sources, limits=grpc_limits(streams=4)) as here:
        client = await here.connect()
        streams = [client.call("Watch", b"") for _ in sources]
        for number, stream in enumerate(streams):
            await until_data(client, stream, framed(b"%d" % number))
        assert (await client.answer(client.call("Watch", b""))).reset == ErrorCode.REFUSED_STREAM
        sources[2].add(b"more")
        await until_data(client, streams[2], framed(b"2") + framed(b"more"))


async def test_the_end_of_the_sidecar_ends_it_with_a_status() -> None:
    source = Source(b"one")
    async with streaming(source) as here:
        client = await here.connect()
        stream = client.call("Watch", b"")
        await until_data(client, stream, framed(b"one"))
        stopping = asyncio.create_task(here.server.stop(200.0))
        answer = await client.answer(stream)
        assert (answer.status, answer.headers["grpc-message"]) == (Code.UNAVAILABLE, "the sidecar is stopping")
        assert await client.until_closed() == ErrorCode.NO_ERROR
        async with asyncio.timeout(20):
            await stopping
        assert source.is_closed


async def test_a_defect_has_a_status_too() -> None:
    class Failing(Source):
        async def __anext__(self) -> bytes:
            raise ValueError("a defect")

    source = Failing()
    async with streaming(source) as here:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)  # it reports the defect
        client = await here.connect()
        assert (await client.answer(client.call("Watch", b""))).status == Code.INTERNAL
        assert source.is_closed
