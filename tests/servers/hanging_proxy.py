"""A proxy to a server that hangs on some requests: it neither answers them nor notices that a client has gone."""

from __future__ import annotations

import asyncio

from servers.passing_back import pass_back
from servers.proxy import CHUNK, Proxy


class HangingProxy(Proxy):
    """Forwards connections until a request comes that has `word` in it. `now` counts the server's connections,
    including those whose clients have gone unnoticed.
    """

    def __init__(self, target: int, *, announces_its_port: bool = False):
        super().__init__(target, announces_its_port=announces_its_port)
        self._released = asyncio.Event()
        self.word = b""
        """Empty: nothing hangs."""

    def release(self) -> None:
        """Let the server notice clients that have gone; nothing hangs any more."""
        self.word = b""
        self._released.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        back = asyncio.create_task(pass_back(from_server, writer, self._announced_port, self.port))
        try:
            while chunk := await reader.read(CHUNK):
                if self.word and self.word in chunk:
                    await self._released.wait()
                    return
                to_server.write(chunk)
                await to_server.drain()
        finally:
            back.cancel()
            to_server.transport.abort()
