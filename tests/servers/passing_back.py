"""How a proxy to a server passes on the server's answers."""

from __future__ import annotations

import asyncio
from contextlib import suppress

CHUNK = 64 * 1024


async def pass_back(
    from_server: asyncio.StreamReader, to_client: asyncio.StreamWriter, announced_port: int | None, port: int
) -> None:
    """Pass on all answers, `readdressed`; when they end, close the client's connection."""
    with suppress(OSError):
        while chunk := await from_server.read(CHUNK):
            to_client.write(readdressed(chunk, announced_port, port))
            await to_client.drain()
    to_client.transport.abort()


def readdressed(chunk: bytes, announced_port: int | None, port: int) -> bytes:
    """Return a server's answer, with this port in place of the server's; None: the answer has no port.

    Both have five digits, so that nothing changes its length.
    """
    return chunk if announced_port is None else chunk.replace(b":%d" % announced_port, b":%d" % port)
