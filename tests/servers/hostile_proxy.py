"""A proxy to a server that becomes hostile on a test's command: then a fault of the test answers instead of the server.
It runs on its own thread, so that tests without an event loop can use it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable

from servers.eventually import close_server
from servers.loop_thread import LoopThread
from servers.passing_back import pass_back

CHUNK = 64 * 1024
ABORTED = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing sends a reset."""
SSL_REQUEST = struct.pack("!II", 8, 80877103)
"""What PostgreSQL's clients ask before they speak TLS."""


class Peer:
    """A client of the hostile server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes):
        self._reader = reader
        self._writer = writer
        self._first = first
        """The part of the request that was read already."""

    async def request(self) -> bytes:
        """Return the next bytes; empty if the client has gone."""
        first, self._first = self._first, b""
        return first or await self._reader.read(CHUNK)

    def give_back(self, data: bytes) -> None:
        """Let `request` return this next."""
        self._first = data

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def flood(self, chunk: bytes) -> None:
        """Send this without end, as fast as the client takes it."""
        while True:
            await self.send(chunk)

    async def drip(self, data: bytes, pause_s: float) -> None:
        """Send a byte at a time; then repeat the last one without end."""
        for place in range(1_000_000_000):
            await self.send(data[min(place, len(data) - 1) :][:1])
            await asyncio.sleep(pause_s)

    async def linger(self) -> None:
        """Read until the client goes away, and answer nothing."""
        while await self._reader.read(CHUNK):
            pass

    def reset(self) -> None:
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORTED)
        self._writer.transport.abort()


Fault = Callable[[Peer], Awaitable[None]]


class HostileProxy:
    """Forwards connections to a port of this machine for as long as no fault is set."""

    def __init__(self, target: int, *, announces_its_port: bool = False, tls: ssl.SSLContext | None = None):
        """`announces_its_port`: the server announces its port, and clients connect to it; the proxy replaces it by its
        own port.

        With `tls` clients speak TLS up to here, PostgreSQL's after they have asked.
        """
        self._target = target
        self._announced_port = target if announces_its_port else None
        self._tls = tls
        self._fault: Fault | None = None
        self._word = b""
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._thread = LoopThread()
        self.port = 0
        self.accepted = 0
        self.now = 0
        """Connections that are open."""
        self.most = 0
        """The maximum of connections that were open at the same time."""

    def __enter__(self) -> HostileProxy:
        self._thread.start()
        self._thread.run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.run(self._close())
        self._thread.close()

    def turn(self, fault: Fault, word: bytes = b"") -> None:
        """Let the fault answer every connection from its next request on, or only requests with this word."""
        self._thread.call_soon(self._turn, fault, word)

    def come_back(self) -> None:
        """Be the good server again; connections are reset, as by a restart."""
        self._thread.run(self._come_back())

    def _turn(self, fault: Fault, word: bytes) -> None:
        self._fault, self._word = fault, word
        self.most = self.now

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _come_back(self) -> None:
        self._fault = None
        await self._end_all()

    async def _close(self) -> None:
        assert self._server is not None
        await close_server(self._server)
        await self._end_all()

    async def _end_all(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self._answer(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self.now -= 1
            self._tasks.discard(task)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault is not None and not self._word and self._tls is None:
            await self._fault(Peer(reader, writer, b""))
            return
        first = await self._speak_tls(reader, writer) if self._tls is not None else b""
        if self._fault is not None and not self._word:
            await self._fault(Peer(reader, writer, first))
            return
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            await self._forward(reader, writer, from_server, to_server, first)
        finally:
            to_server.transport.abort()

    async def _speak_tls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """Return the bytes that arrived unencrypted before, if they were no request for TLS."""
        assert self._tls is not None
        await writer.start_tls(self._tls)
        return b""

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        from_server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        first: bytes,
    ) -> None:
        back = asyncio.create_task(pass_back(from_server, writer, self._announced_port, self.port))
        try:
            while chunk := first or await reader.read(CHUNK):
                first = b""
                if self._fault is not None and self._word in chunk:
                    back.cancel()
                    await asyncio.wait((back,))
                    await self._fault(Peer(reader, writer, chunk))
                    return
                to_server.write(chunk)
                await to_server.drain()
        finally:
            back.cancel()
