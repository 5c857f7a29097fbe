"""Connections that are being closed while their clients read nothing end in time, however little is left to send."""

import asyncio
import socket
from typing import Any

import pytest
from integration.grpc_front_end.grpc_wire import GET, SAVE, Client, Serving, get, is_well, save, serving
from servers.limits import grpc_limits

from pannier_sidecar.http2 import frames

pytestmark = pytest.mark.transport


async def connect_without_reading(here: Serving) -> Client:
    """A client with a very small receive buffer, which reads nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", here.port))
    client = Client(*await asyncio.open_connection(sock=sock, limit=1024))
    here.clients.append(client)
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    client.send(frames.PREFACE, frames.settings({frames.INITIAL_WINDOW_SIZE: frames.MAX_WINDOW}))
    client.send(frames.window_update(0, 2**30))
    return client


ENDS = {
    "a frame that no client may send": lambda client: client.send(frames.frame(frames.PUSH_PROMISE, 0, 1, b"")),
    "its side closed": lambda client: client.writer.write_eof(),
}


@pytest.mark.parametrize("how", ENDS)
async def test_a_connection_that_is_being_closed_ends_in_time(fast_clock: None, how: str) -> None:
    async with serving(limits=grpc_limits(stalled=0.3)) as here:
        writer = await here.connect()
        assert (await writer.ask(SAVE, save("k", b"v" * 15_000))).status == 0
        await writer.close()
        await here.until(lambda: not here.listener.open, "no connection")
        client = await connect_without_reading(here)
        await here.until(lambda: len(here.listener.open) == 1, "the connection")
        connection: Any = next(iter(here.listener.open))
        while not connection._transport.get_write_buffer_size():
            client.call(GET, get("k"))
            await asyncio.sleep(0.001)
        assert connection._transport.get_write_buffer_size() < 64 * 1024, "else writing would be paused"
        ENDS[how](client)
        await here.until(lambda: not here.listener.open, "its end")
        await is_well(here)
