"""A proxy to a server that becomes hostile on command: then a fault of the test answers instead of the server."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

from servers.passing_back import pass_back
from servers.proxy import CHUNK, OwnThread

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


class HostileProxy(OwnThread):
    """Forwards connections for as long as no fault is set."""

    def __init__(self, target: int, *, announces_its_port: bool = False):
        super().__init__(target, announces_its_port=announces_its_port)
        self._fault: Fault | None = None
        self._word = b""

    def turn(self, fault: Fault, word: bytes = b"") -> None:
        """Let the fault answer every connection from its next request on, or only requests with this word."""
        self.thread.call_soon(self._turn, fault, word)

    def come_back(self) -> None:
        """Be the good server again; connections are reset, as by a restart."""
        self.thread.run(self._come_back())

    def _turn(self, fault: Fault, word: bytes) -> None:
        self._fault, self._word = fault, word
        self.most = self.now

    async def _come_back(self) -> None:
        self._fault = None
        await self.end_all()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault is not None and not self._word:
            await self._fault(Peer(reader, writer, b""))
            return
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        back = asyncio.create_task(pass_back(from_server, writer, self._announced_port, self.port))
        try:
            while chunk := await reader.read(CHUNK):
                if self._fault is not None and self._word in chunk:
                    back.cancel()
                    await asyncio.wait((back,))
                    await self._fault(Peer(reader, writer, chunk))
                    return
                to_server.write(chunk)
                await to_server.drain()
        finally:
            back.cancel()
            to_server.transport.abort()
