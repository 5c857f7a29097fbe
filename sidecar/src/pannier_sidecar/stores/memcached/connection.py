"""A pipelined connection to a memcached server, with a parser for the answers of its text protocol."""

from __future__ import annotations

import asyncio
from typing import Final

from pannier_sidecar.network.pipeline import Pipeline

Reply = bytes | tuple[bytes, bytes]
"""The line of an answer; with the value, where one comes with it."""

MAX_LINE: Final = 64 * 1024
"""Bytes of an answer beside its value: no server's has a tenth of them, and what does not end is not kept."""
MAX_ITEM: Final = 1024 * 1024 * 1024
"""Bytes of an item that any server takes (`-I`)."""
_ASTRAY: Final = (b"CLIENT_ERROR", b"ERROR")
"""Answers after which what the server takes for a command may be a value."""


class Connection(Pipeline):
    """A connection on which a call gets a Reply."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str, timeout: float):
        super().__init__(loop, f"memcached at {name}", timeout, "timeout")
        self.name = name
        """host:port, for error texts."""
        self.run = ""
        """Which life of the server this is: its ETags mean nothing in another one. Set while connecting."""
        self.largest_item = 0
        """Bytes that an item may have, overhead included. Set while connecting."""
        self.stats: dict[str, str] = {}
        """What the server reported in `stats`."""
        self.room = asyncio.Event()
        """Set while it is worth looking again whether calls are taken."""
        self.on_flow = self._note_flow
        self._chunks: list[bytes] = []
        """The beginning of an answer that has not come whole."""
        self._missing = 0
        """Bytes that are missing at least."""

    def read(self, data: bytes) -> None:
        """Hand out the answers that have come whole."""
        if self._chunks:
            self._chunks.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._chunks)
            self._chunks.clear()
        try:
            rest = self._take(data)
        except (IndexError, ValueError):  # an answer to no request, or none at all
            self.abort(f"what answers at {self.name} is no memcached")
            return
        if rest:
            self._chunks.append(rest)

    def _take(self, data: bytes) -> bytes:
        """Hand out the answers that have come whole; return the rest. Raises IndexError and ValueError."""
        owed = self.owed
        start, missing, size = 0, 1, len(data)
        while (end := data.find(b"\r\n", start)) >= 0:
            reply: Reply = data[start:end]
            after = end + 2
            if data.startswith(b"VA ", start):
                value_at, length = after, int(data[start + 3 : end].split(b" ", 1)[0])
                if not 0 <= length <= MAX_ITEM:
                    raise ValueError(length)
                after += length + 2
                if after > size:
                    missing = after - size
                    break
                reply = data[start:end], data[value_at : after - 2]
            elif data.startswith(b"STAT ", start):
                _, name, value = data[start:end].decode("latin-1").split(" ", 2)
                self.stats[name] = value
                start = after
                continue
            future = owed.popleft()
            if future is not None and not future.done():  # its caller may have gone away
                future.set_result(reply)
            start = after
            if type(reply) is bytes and reply.startswith(_ASTRAY):
                self.abort(f"memcached at {self.name} does not understand what was sent")
                return b""
        if end < 0 and size - start > MAX_LINE:
            raise ValueError(size)
        self._missing = missing
        return data[start:] if start else data

    def _note_flow(self, takes_calls: bool) -> None:
        if takes_calls or self.why_ended is not None:
            self.room.set()
        else:
            self.room.clear()
