"""A proxy in front of a sidecar that loses every tenth answer: it has arrived, and the client's connection is reset."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from servers.proxy import CHUNK, Proxy

EVERY = 10


class ForgetfulProxy(Proxy):
    """Forwards connections on which the client sends one request at a time, whose answers fit into one chunk."""

    answers = 0
    """Answers of the sidecar so far."""
    lost = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        there = asyncio.create_task(_pass_on(reader, to_server))
        try:
            while chunk := await from_server.read(CHUNK):
                self.answers += 1
                if self.answers % EVERY == 0:
                    self.lost += 1
                    return
                writer.write(chunk)
                await writer.drain()
        finally:
            there.cancel()
            await asyncio.gather(there, return_exceptions=True)
            to_server.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        writer.close()
