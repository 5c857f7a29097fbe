"""Clients that send too much of what costs them nothing are disconnected, and others are served."""

from collections.abc import Callable

import pytest
from integration.grpc_front_end.grpc_wire import GET, SAVE, Client, Serving, get, is_well, serving

from pannier_sidecar.http2 import frames
from pannier_sidecar.http2.frames import ErrorCode

INITIAL = frames.INITIAL_WINDOW_SIZE


async def flooded(here: Serving, client: Client, *parts: bytes) -> int | None:
    try:
        for _ in range(400):
            client.send(*parts)
            await client.writer.drain()
    except ConnectionError:
        pass
    return await client.until_closed()


FLOODS = {
    "ping": frames.frame(frames.PING, 0, 0, b"12345678"),
    "settings": frames.settings({INITIAL: 65_535}),
    "priority": frames.frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\1"),
    "empty data": frames.frame(frames.DATA, 0, 1),
    "answers to ping": frames.frame(frames.PING, frames.ACK, 0, b"12345678"),
    "answers to settings": frames.frame(frames.SETTINGS, frames.ACK, 0),
    "goaway": frames.goaway(0, ErrorCode.NO_ERROR),
    "unknown": frames.frame(0x20, 0, 0, b"of no known type"),
}


@pytest.mark.transport
async def test_a_flood_of_frames_that_carry_nothing_is_ended(subtests: pytest.Subtests) -> None:
    for name, flood in FLOODS.items():
        with subtests.test(name):
            async with serving() as here:
                client = await here.connect()
                client.begin(SAVE)
                assert await flooded(here, client, flood * 100) in (ErrorCode.ENHANCE_YOUR_CALM, None)
                await here.until(lambda here=here: not here.listener.open, "end")
                await is_well(here)


@pytest.mark.transport
async def test_endless_header_blocks_are_ended() -> None:
    async with serving() as here:
        client = await here.connect()
        client.send(frames.frame(frames.HEADERS, 0, 1, b"\x82"))
        await flooded(here, client, frames.frame(frames.CONTINUATION, 0, 1, b"\x82" * 1000))
        await here.until(lambda: not here.listener.open, "end")
        await is_well(here)


async def test_a_header_block_in_countless_pieces_is_ended() -> None:
    async with serving() as here:
        client = await here.connect()
        client.send(frames.frame(frames.HEADERS, 0, 1, b"\x82"))
        assert await flooded(here, client, frames.frame(frames.CONTINUATION, 0, 1, b"\x86") * 100) in (
            ErrorCode.ENHANCE_YOUR_CALM,
            None,
        )
        await is_well(here)


async def test_making_the_server_reset_streams_ends_the_connection_too(subtests: pytest.Subtests) -> None:
    """CVE-2025-8671: the client breaks a rule of each stream instead of giving it up."""
    faults: dict[str, Callable[[int], bytes]] = {
        "empty window": lambda stream: frames.window_update(stream, 0),
        "short priority": lambda stream: frames.frame(frames.PRIORITY, 0, stream, b"\0\0\0\0"),
        "window over its end": lambda stream: frames.window_update(stream, frames.MAX_WINDOW),
    }
    for name, fault in faults.items():
        with subtests.test(name):
            async with serving() as here:
                client = await here.connect()
                for _ in range(1000):
                    client.send(fault(client.begin(SAVE)))
                assert await client.until_closed() in (ErrorCode.ENHANCE_YOUR_CALM, None)
                await is_well(here)


@pytest.mark.transport
async def test_rapid_reset_is_ended() -> None:
    async with serving() as here:
        client = await here.connect()
        for _ in range(1000):
            client.send(frames.rst_stream(client.call(GET, get("k")), ErrorCode.CANCEL))
        assert await client.until_closed() in (ErrorCode.ENHANCE_YOUR_CALM, None)
        await is_well(here)


@pytest.mark.transport
async def test_a_thousand_connections_come_and_go() -> None:
    async with serving() as here:
        for _ in range(20):
            batch = [await here.connect(greets=bool(n % 3)) for n in range(50)]
            for number, client in enumerate(batch):
                if number % 2 and number % 3:
                    client.begin(SAVE)
                client.writer.transport.abort()
        here.clients.clear()
        await here.until(lambda: not here.listener.open, "end")
        await is_well(here)
