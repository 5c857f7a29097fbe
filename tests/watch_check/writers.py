"""Apps that write without pause through a sidecar. Each key has one writer, whose numbers only grow."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from contextlib import suppress

STORE = "statestore"
PREFIX = "watched/"
AT_ONCE = 10
"""Items of one save."""
DELETES = 20
"""One save in this many is a delete."""
REMEMBERED = 200_000
"""Numbers whose time is known."""
TRY_AGAIN_S = 0.05


class Writers:
    """Writers of one app. What they have written is known by its numbers: each write has a greater one."""

    def __init__(self, port: Callable[[], int], writers: int, keys: int):
        """`port` returns the port of the sidecar; each writer has `keys` keys."""
        self._port = port
        self._random = random.Random(7)
        self._keys = [[f"{PREFIX}{writer}/{key}" for key in range(keys)] for writer in range(writers)]
        self._number = 0
        self.sent_at: dict[int, float] = {}
        """When the latest numbers were sent, in seconds of `time.monotonic`."""
        self.written = 0
        """Changes that were answered."""
        self.failed = 0
        """Requests that were refused, or not answered; they are made again with new numbers."""

    async def write(self, changes: int, at_once: int = AT_ONCE, pause_s: float = 0.0) -> None:
        """Make this many changes, all writers together; return when all of them are answered. A save has `at_once`
        items, and each writer waits `pause_s` seconds between two requests.
        """
        share = changes // len(self._keys)
        await asyncio.gather(*(self._write(keys, share, at_once, pause_s) for keys in self._keys))

    async def _write(self, keys: list[str], changes: int, at_once: int, pause_s: float) -> None:
        connection: _Connection | None = None
        left = changes
        while left > 0:
            await asyncio.sleep(pause_s)
            chosen = self._random.sample(keys, min(at_once, len(keys), left))
            try:
                if connection is None:
                    connection = await _Connection.open(self._port())
                method, path, body = self._request(chosen)
                if await connection.call(method, path, body) >= 300:
                    raise ConnectionError
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                self.failed += 1
                if connection is not None:
                    connection.close()
                connection = None
                await asyncio.sleep(TRY_AGAIN_S)
                continue
            changed = len(chosen) if method == "POST" else 1
            self.written += changed
            left -= changed
        if connection is not None:
            connection.close()

    def _request(self, keys: list[str]) -> tuple[str, str, bytes]:
        if self._random.randrange(DELETES) == 0:
            return "DELETE", f"/v1.0/state/{STORE}/{keys[0].replace('/', '%2F')}", b""
        items = [{"key": key, "value": self._next()} for key in keys]
        return "POST", f"/v1.0/state/{STORE}", json.dumps(items).encode()

    def _next(self) -> int:
        self._number += 1
        self.sent_at[self._number] = time.monotonic()
        if len(self.sent_at) > REMEMBERED:
            del self.sent_at[next(iter(self.sent_at))]
        return self._number


class _Connection:
    """One connection to a sidecar."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> _Connection:
        async with asyncio.timeout(5):
            return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def call(self, method: str, path: str, body: bytes) -> int:
        """Return the status of the answer."""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        async with asyncio.timeout(30):
            lines = (await self._reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            length = next((line for line in lines if line.startswith(b"content-length: ")), b"content-length: 0")
            await self._reader.readexactly(int(length.removeprefix(b"content-length: ")))
        return int(lines[0].split(b" ")[1])

    def close(self) -> None:
        with suppress(OSError):
            self._writer.close()
