"""What all proxies between clients and a server have in common: opening, closing, and their connections."""

from __future__ import annotations

import asyncio
from typing import Self

from servers.eventually import close_server, end_other_tasks, some_turns
from servers.free_ports import free_port
from servers.loop_thread import LoopThread

CHUNK = 64 * 1024
"""Maximum of bytes that are read and passed on at once."""


class Proxy:
    """Forwards connections to a port of this machine, inside `async with`. A subclass says how in `serve`."""

    def __init__(self, target: int, *, announces_its_port: bool = False):
        """`announces_its_port`: the server announces its port, and clients connect to it; the proxy replaces it by its
        own port.
        """
        self.target = target
        """The port of the server."""
        self.port = 0
        self.accepted = 0
        """Connections so far."""
        self.now = 0
        """Connections that are being served."""
        self.most = 0
        """The maximum of connections that were served at the same time."""
        self._announced_port = target if announces_its_port else None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client until its connection ends. It is aborted afterwards, and a cancelled task is no error."""
        raise NotImplementedError

    async def open(self) -> None:
        """Listen, at the same port as before if the proxy was closed."""
        self.port = self.port or free_port()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, backlog=1000)

    async def close(self) -> None:
        """Refuse connections, and end those that are open."""
        if self._server is not None:
            server, self._server = self._server, None
            await close_server(server)
        await self.end_all()

    async def end_all(self) -> None:
        """End all connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await some_turns()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.serve(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self.now -= 1
            self._tasks.discard(task)
            writer.transport.abort()


class OwnThread(Proxy):
    """A proxy on its own thread, inside `with`: for tests without an event loop, or on any loop."""

    def __init__(self, target: int, *, announces_its_port: bool = False):
        super().__init__(target, announces_its_port=announces_its_port)
        self.thread = LoopThread()

    def __enter__(self) -> Self:
        self.thread.start()
        self.thread.run(self.open())
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.run(self.close())
        self.thread.run(end_other_tasks())
        self.thread.close()
