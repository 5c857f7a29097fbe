"""A proxy to a server that cuts a connection when a test says so, before or after the server has carried out a request.

The request is recognised by a word in it, such as the name of a key. Afterwards everything passes again: a client that
repeats its request is served.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Literal

from servers.eventually import until
from servers.passing_back import readdressed
from servers.proxy import Proxy

CHUNK = 256 * 1024
Where = Literal["before", "after"]
ABORTED = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing sends a reset."""


class CuttingProxy(Proxy):
    """Forwards connections; those that it ends are reset."""

    def __init__(self, target: int, *, announces_its_port: bool = False):
        super().__init__(target, announces_its_port=announces_its_port)
        self._word = b""
        self._where: Where = "before"
        self._passes = 0
        self.is_silent = False
        """Whether nothing passes, in either direction."""
        self.held: list[_Pair] = []
        """Connections whose request was recognised; `after` holds their answers until `cut`."""

    def arm(self, where: Where, word: bytes, passes: int = 0) -> None:
        """Wait for the next request with `word` in it, after `passes` others with it have passed. `before`: it does not
        reach the server, and its connection is reset. `after`: it reaches the server, but no answer comes back; `cut`
        resets the connection.
        """
        self.held.clear()
        self._where, self._word, self._passes = where, word, passes

    async def met(self) -> None:
        """Wait until the request has arrived."""
        await until(lambda: self.held)

    def cut(self) -> None:
        """Reset the held connections; new requests pass."""
        self._word = b""
        for pair in self.held:
            pair.reset()

    def is_meant(self, chunk: bytes) -> bool:
        if not self._word or self._word not in chunk:
            return False
        self._passes -= 1
        return self._passes < 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = _Pair(writer, *await asyncio.open_connection("127.0.0.1", self.target))
        try:
            await asyncio.gather(self._there(reader, pair), self._back(pair, writer))
        finally:
            pair.reset()

    async def _there(self, reader: asyncio.StreamReader, pair: _Pair) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if self.is_meant(chunk):
                    self.held.append(pair)
                    pair.is_held = True
                    if self._where == "before":
                        self._word = b""
                        pair.reset()
                        return
                if not self.is_silent:
                    pair.to_server.write(chunk)
                    await pair.to_server.drain()
        if not pair.is_held:
            pair.reset()

    async def _back(self, pair: _Pair, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await pair.from_server.read(CHUNK):
                if not pair.is_held and not self.is_silent:
                    writer.write(readdressed(chunk, self._announced_port, self.port))
                    await writer.drain()
        if not pair.is_held:
            pair.reset()


class _Pair:
    """A client's connection and its counterpart to the server."""

    def __init__(
        self, to_client: asyncio.StreamWriter, from_server: asyncio.StreamReader, to_server: asyncio.StreamWriter
    ):
        self.from_server = from_server
        self.to_server = to_server
        self.is_held = False
        self._to_client = to_client

    def reset(self) -> None:
        for writer in (self._to_client, self.to_server):
            handle = writer.transport.get_extra_info("socket")
            with suppress(OSError, AttributeError, ValueError):  # it may be closed already
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORTED)
            writer.transport.abort()
