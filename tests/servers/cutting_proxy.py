"""A proxy to a server that cuts a connection when a test says so, before or after the server has carried out a request.

The request is recognised by a word in it, such as the name of a key. Afterwards everything passes again: a client that
repeats its request is served.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

from servers.eventually import close_server, until
from servers.free_ports import free_port
from servers.passing_back import readdressed

CHUNK = 256 * 1024
Where = Literal["before", "after"]
ABORTED = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing sends a reset."""


class CuttingProxy:
    """Forwards connections to a port of this machine."""

    def __init__(self, port: int, *, announces_its_port: bool = False):
        """`announces_its_port`: the server announces its port, and clients connect to it; the proxy replaces it by its
        own port.
        """
        self._target = port
        self._announced_port = port if announces_its_port else None
        self._pairs: set[_Pair] = set()
        self._being_made = 0
        """Connections that are accepted but not yet connected to the server."""
        self._server: asyncio.Server | None = None
        self._word = b""
        self._where: Where = "before"
        self._passes = 0
        self.port = 0
        self.is_silent = False
        """Whether nothing passes, in either direction."""
        self.held: list[_Pair] = []
        """Connections whose request was recognised; `after` holds their answers until `cut`."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Listen, at the same port as before if it was closed."""
        self.port = self.port or free_port()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def close(self) -> None:
        """Refuse connections, and reset open ones."""
        if self._server is not None:
            server, self._server = self._server, None
            await close_server(server)
        await until(self._has_let_go)

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

    def _has_let_go(self) -> bool:
        """Reset connections, even those that were accepted while the proxy was closed and opened only now."""
        for pair in self._pairs:
            pair.reset()
        return not self._pairs and not self._being_made

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            self._being_made += 1
            try:
                pair = _Pair(writer, *await asyncio.open_connection("127.0.0.1", self._target))
                self._pairs.add(pair)
            except BaseException:
                writer.transport.abort()
                raise
            finally:
                self._being_made -= 1
            try:
                await asyncio.gather(self._there(reader, pair), self._back(pair, writer))
            finally:
                self._pairs.discard(pair)
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
            with suppress(OSError, AttributeError):
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORTED)
            writer.transport.abort()


@asynccontextmanager
async def cutting_proxy(port: int, *, announces_its_port: bool = False) -> AsyncIterator[CuttingProxy]:
    proxy = CuttingProxy(port, announces_its_port=announces_its_port)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
