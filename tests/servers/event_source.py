"""A client of Server-Sent Events as browsers have one, by the rules of the WHATWG, and strict about framing.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

OPEN: set[EventStream] = set()
"""The streams of all tests that are not closed; `close_all` closes them."""
PATIENCE_S = 60.0
"""Seconds after which a test fails, instead of hanging, if something has not arrived."""


@dataclass
class Event:
    """One dispatched event."""

    name: str
    text: str
    last_id: str

    @property
    def data(self) -> Any:
        return json.loads(self.text)

    @property
    def key(self) -> str:
        key: str = self.data["key"]
        return key


class Parser:
    """Interprets an event stream, which may come in pieces of any size (9.2.6)."""

    def __init__(self) -> None:
        self._rest = ""
        self._is_first = True
        self._name, self._data, self._id_buffer = "", "", ""
        self.last_id = ""
        self.retry_ms: int | None = None

    def feed(self, text: str) -> Iterator[Event]:
        if self._is_first and text:
            text, self._is_first = text.removeprefix("\ufeff"), False
        self._rest += text
        while True:
            found = re.search(r"\r\n|\n|\r(?!\Z)", self._rest)  # a CR at the end may be half of a CRLF
            if found is None:
                return
            line, self._rest = self._rest[: found.start()], self._rest[found.end() :]
            if (event := self._take(line)) is not None:
                yield event

    def _take(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        name, colon, value = line.partition(":")
        if not name and colon:
            return None  # a comment
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._data += value + "\n"
        elif name == "id" and "\0" not in value:
            self._id_buffer = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value)
        return None

    def _dispatch(self) -> Event | None:
        self.last_id = self._id_buffer
        name, data, self._name, self._data = self._name, self._data, "", ""
        if not data:
            return None
        return Event(name or "message", data.removesuffix("\n"), self.last_id)


@dataclass
class Refused(Exception):
    """The answer was no event stream, so a browser gives up for good."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        code: str = json.loads(self.body)["errorCode"]
        return code


@dataclass(eq=False)
class EventStream:
    """One connection. It ends with the stream (`is_whole`: by the last chunk)."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    headers: dict[str, str]
    parser: Parser = field(default_factory=Parser)
    is_whole: bool = False
    waiting: list[Event] = field(default_factory=list)

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await self.next()) is not None:
            yield event

    async def next(self) -> Event | None:
        """Return the next event, None after the last one."""
        while not self.waiting:
            async with asyncio.timeout(PATIENCE_S):
                chunk = await self._chunk()
            if not chunk:
                return None
            self.waiting += self.parser.feed(chunk.decode())  # each chunk has whole characters
        return self.waiting.pop(0)

    async def until(self, name: str) -> list[Event]:
        """Return the events up to the next one of this name, which is the last of the list."""
        found: list[Event] = []
        async for event in self:
            found.append(event)
            if event.name == name:
                return found
        raise AssertionError(f"it ended without {name}: {found}")

    async def _chunk(self) -> bytes:
        if "transfer-encoding" not in self.headers:
            return await self.reader.read(65536)
        line = await self.reader.readline()
        if not line:
            return b""
        assert re.fullmatch(rb"[0-9a-f]+\r\n", line), line
        size = int(line, 16)
        chunk = await self.reader.readexactly(size + 2)
        assert chunk.endswith(b"\r\n")
        if size == 0:
            assert await self.reader.read() == b"", "something came after the last chunk"
            self.is_whole = True
        return chunk[:-2]

    def close(self) -> None:
        OPEN.discard(self)
        self.writer.transport.abort()


def target(prefix: str | None = None, *, store: str = "statestore", since: str = "", values: bool = False) -> str:
    """The path and the query of a watch."""
    given = {"prefix": prefix, "since": since or None, "values": "true" if values else None}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    return f"/v1.0-alpha1/state/{store}/watch" + (f"?{query}" if query else "")


async def connect(
    port: int, path: str, last_id: str = "", *, headers: tuple[str, ...] = (), receive_buffer: int | None = None
) -> EventStream:
    """Begin one event stream, as a browser's first request or one with the last event id. Raises Refused."""
    sock = socket.socket()
    try:
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=sock)
    except BaseException:
        sock.close()
        raise
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Accept: text/event-stream", "Cache-Control: no-store"]
    lines += [f"Last-Event-ID: {last_id}"] if last_id else []
    writer.write("\r\n".join([*lines, *headers, "", ""]).encode())
    try:
        async with asyncio.timeout(PATIENCE_S):
            stream = EventStream(reader, writer, await _begun(reader))
    except BaseException:
        writer.transport.abort()
        raise
    OPEN.add(stream)
    return stream


async def _begun(reader: asyncio.StreamReader) -> dict[str, str]:
    """Return the header fields of an event stream. Raises Refused."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").removesuffix("\r\n\r\n")
    status, *fields = head.split("\r\n")
    found = dict(line.lower().split(": ", 1) for line in fields)
    if not status.startswith("HTTP/1.1 200 ") or found.get("content-type") != "text/event-stream":
        body = await reader.readexactly(int(found.get("content-length", "0")))
        raise Refused(int(status.split(" ")[1]), found, body)
    return found


async def close_all() -> None:
    """Close all streams that are open, and let the event loop free them."""
    for stream in list(OPEN):
        stream.close()
    for _ in range(3):
        await asyncio.sleep(0)
