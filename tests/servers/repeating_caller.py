"""A client that sends a request with an Idempotency-Key until it is answered, to the next port after each failure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress

PAUSE_S = 0.02


class RepeatingCaller:
    """One client of several sidecars."""

    def __init__(self, ports: Sequence[int], first: int, store: str = "statestore"):
        self._ports = ports
        self._next = first
        self._path = f"/v1.0-alpha1/state/{store}"
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.repeated = 0
        """Requests that were sent once more."""

    async def change(self, name: str, once: str, **fields: object) -> int:
        """Carry out a change; return the number in its answer."""
        body = json.dumps(fields).encode()
        head = f"POST {self._path}/{name} HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: {once}\r\n"
        request = head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
        while True:
            try:
                status, answer = await self._ask(request)
            except (OSError, EOFError):  # the answer is lost, or nobody is there
                await self.close()
                self._next += 1
            else:
                if status == 200:
                    [result] = json.loads(answer).values()
                    return int(result)
                assert status in (500, 503), answer  # the outcome is unknown, or too many wait
            self.repeated += 1
            await asyncio.sleep(PAUSE_S)

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        if self._connection is None:
            port = self._ports[self._next % len(self._ports)]
            self._connection = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = self._connection
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        size = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return int(head[9:12]), await reader.readexactly(int(size or b"0"))

    async def close(self) -> None:
        if self._connection is not None:
            (_, writer), self._connection = self._connection, None
            writer.close()
            with suppress(OSError):  # it was reset
                await writer.wait_closed()
