"""Flow-control windows: only as much of an answer is sent as the client allows, and only for a limited time."""

import asyncio
import random

import pytest
from integration.grpc_front_end.grpc_wire import GET, SAVE, get, is_well, save, serving
from servers.limits import grpc_limits

from pannier_sidecar.http2 import frames
from pannier_sidecar.http2.frames import ErrorCode

pytestmark = pytest.mark.transport

INITIAL = frames.INITIAL_WINDOW_SIZE


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
    async with serving(limits=grpc_limits(stalled=0.2)) as here:
        client, writer = await here.connect({INITIAL: 0}), await here.connect()
        await writer.ask(SAVE, save("k", b"v" * 1000))
        assert (await client.answer(client.call(GET, get("k")))).reset == ErrorCode.CANCEL


async def test_a_client_that_reads_an_answer_byte_by_byte_is_not_waited_for(fast_clock: None) -> None:
    """The client makes progress, but would make us hold the rest of the answer for ever."""
    async with serving(limits=grpc_limits(stalled=0.5)) as here:
        client, writer = await here.connect({INITIAL: 10}), await here.connect()
        await writer.ask(SAVE, save("k", b"v" * 50_000))
        stream = client.call(GET, get("k"))
        while not (stream in client.answers and client.answers[stream].reset):
            client.send(frames.window_update(stream, 1))
            assert await client.read()
            await asyncio.sleep(0.02)
        assert client.answers[stream].reset == ErrorCode.CANCEL
        assert 10 <= len(client.answers[stream].data) < 1000


async def test_a_client_that_never_reads_is_let_go(fast_clock: None) -> None:
    async with serving(limits=grpc_limits(stalled=0.2)) as here:
        client = await here.connect({INITIAL: frames.MAX_WINDOW})
        client.send(frames.window_update(0, 2**30))
        await client.ask(SAVE, save("k", b"v" * 3_000_000))
        for _ in range(20):
            client.call(GET, get("k"))
        await here.until(lambda: not here.listener.open, "end")
        await is_well(here)


@pytest.mark.parametrize("message", [2**29, 2**31 - 1])
async def test_calls_are_answered_with_a_message_limit_above_what_windows_can_be(message: int) -> None:
    async with serving(limits=grpc_limits(message=message)) as here:
        await is_well(here)
