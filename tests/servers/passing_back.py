"""How a way to a server passes on what the server answers."""

from __future__ import annotations

import asyncio
from contextlib import suppress

CHUNK = 64 * 1024


async def pass_back(
    from_server: asyncio.StreamReader, to_client: asyncio.StreamWriter, told_port: int | None, port: int
) -> None:
    """Pass on all answers, `readdressed`; where they end, so does the client's connection."""
    with suppress(OSError):
        while chunk := await from_server.read(CHUNK):
            to_client.write(readdressed(chunk, told_port, port))
            await to_client.drain()
    to_client.transport.abort()


def readdressed(chunk: bytes, told_port: int | None, port: int) -> bytes:
    """Return what a server said, with this port in place of the one that it tells; None: it tells none.

    Both have five digits, so that nothing changes its length.
    """
    return chunk if told_port is None else chunk.replace(b":%d" % told_port, b":%d" % port)
