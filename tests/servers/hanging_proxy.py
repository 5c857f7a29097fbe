"""A proxy to a server that hangs on some requests: it neither answers them nor notices that a client has gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from servers.eventually import close_server
from servers.passing_back import pass_back

CHUNK = 64 * 1024


class HangingProxy:
    """Forwards connections to a port of this machine, until a request comes that has `word` in it."""

    def __init__(self, target: int, *, announces_its_port: bool = False):
        """`announces_its_port`: the server announces its port, and clients connect to it; the proxy replaces it by its
        own port.
        """
        self._target = target
        self._announced_port = target if announces_its_port else None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._released = asyncio.Event()
        self.word = b""
        """Empty: nothing hangs."""
        self.port = 0
        self.now = 0
        """The server's connections, including those whose clients have gone unnoticed."""
        self.most = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000)
        self.port = self._server.sockets[0].getsockname()[1]

    def release(self) -> None:
        """Let the server notice clients that have gone; nothing hangs any more."""
        self.word = b""
        self._released.set()

    async def close(self) -> None:
        if self._server is not None:
            await close_server(self._server)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.now += 1
        self.most = max(self.most, self.now)
        writers = [writer]
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
            writers.append(to_server)
            back = asyncio.create_task(pass_back(from_server, writer, self._announced_port, self.port))
            try:
                await self._there(reader, to_server)
            finally:
                back.cancel()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.now -= 1
            self._tasks.discard(task)
            for each in writers:
                each.transport.abort()

    async def _there(self, reader: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            if self.word and self.word in chunk:
                await self._released.wait()
                return
            to_server.write(chunk)
            await to_server.drain()


@asynccontextmanager
async def hanging_proxy(target: int, *, announces_its_port: bool = False) -> AsyncIterator[HangingProxy]:
    proxy = HangingProxy(target, announces_its_port=announces_its_port)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
