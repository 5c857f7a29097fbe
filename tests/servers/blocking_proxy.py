"""A proxy to a server that lets a number of bytes pass and then no more: calls in progress at that moment hang."""

from __future__ import annotations

import asyncio

from servers.passing_back import pass_back
from servers.processes import wait_until
from servers.proxy import OwnThread

CHUNK = 16 * 1024


class BlockingProxy(OwnThread):
    """Forwards connections until `passes` bytes have come from clients, over all connections together."""

    def __init__(self, target: int, passes: int):
        super().__init__(target)
        self._left = passes

    @property
    def is_blocked(self) -> bool:
        return self._left <= 0

    def wait_until_blocked(self) -> None:
        wait_until(lambda: self.is_blocked, "so many bytes came")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        back = asyncio.create_task(pass_back(from_server, writer, self._announced_port, self.port))
        try:
            while chunk := await reader.read(CHUNK):
                self._left -= len(chunk)
                if not self.is_blocked:
                    to_server.write(chunk)
                    await to_server.drain()
        finally:
            back.cancel()
            to_server.transport.abort()
