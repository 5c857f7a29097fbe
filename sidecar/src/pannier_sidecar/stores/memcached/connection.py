"""One connection, shared by all calls: those of one loop turn go out in one write, answers come back in order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, cast

Reply = bytes | tuple[bytes, bytes]
"""The line of an answer; with the value, where one comes with it."""

MAX_OWED: Final = 50_000
"""Answers that may be outstanding before further calls have to wait."""
LARGE: Final = 64 * 1024
"""A call of more bytes goes out at once, with those that came before it."""
WRITE_HIGH_WATER: Final = 1024 * 1024
"""Bytes that may wait for the server to read before further calls have to wait."""
_ASTRAY: Final = (b"CLIENT_ERROR", b"ERROR")
"""Answers after which what the server takes for a command may be a value."""
GRACE_S: Final = 0.05
"""Between noticing that an answer is overdue and giving the server up."""


class ConnectionLost(Exception):
    """The connection ended before the answer came."""

    def __init__(self, reason: str, *, was_sent: bool, timed_out: bool):
        super().__init__(reason)
        self.was_sent = was_sent
        """False: the server certainly knows nothing of the call."""
        self.timed_out = timed_out


class Connection(asyncio.Protocol):
    """A pipelined connection that answers in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str, timeout: float):
        self.name = name
        """host:port, for error texts."""
        self.run = ""
        """Which life of the server this is: its ETags mean nothing in another one. Set by whoever dials."""
        self.largest_item = 0
        """Bytes that an item may have, overhead included. Set by whoever dials."""
        self.takes_calls = True
        """False: it has ended, or the server does not keep up."""
        self.room = asyncio.Event()
        """Set while it is worth looking again whether calls are taken."""
        self.lost: asyncio.Future[str] = loop.create_future()
        """Done when the connection has ended; its result says why."""
        self.stats: dict[str, str] = {}
        """What the server told about itself."""
        self._loop = loop
        self._timeout = timeout
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []
        self._owed: deque[asyncio.Future[Reply]] = deque()
        self._chunks: list[bytes] = []
        """The beginning of an answer that has not come whole."""
        self._missing = 0
        """Bytes that are missing at least."""
        self._alive_at = 0.0
        """Loop time of the last sign of life."""
        self._unread = 0
        """Bytes that the server had not taken when the watch last looked."""
        self._is_doubtful = False
        self._watch: asyncio.TimerHandle | None = None
        self._is_writable = True
        self._reason: str | None = None
        self._timed_out = False

    def send(self, payload: bytes) -> asyncio.Future[Reply]:
        """Send a command; the future fails with ConnectionLost."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(payload)
        self._owed.append(future)
        if len(payload) > LARGE:
            self._flush()  # later calls of this turn then know when the server does not keep up
        return future

    @property
    def why_ended(self) -> str | None:
        """Why no call gets an answer any more; None: calls do."""
        return self._reason

    def abort(self, reason: str) -> None:
        """End the connection at once; calls in flight fail."""
        if self._reason is None:
            self._reason = reason
            self._tell_flow()
            if self._transport is not None:
                self._transport.abort()

    # --- asyncio.Protocol ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self._tell_flow()

    def data_received(self, data: bytes) -> None:
        self._alive_at = self._loop.time()
        if self._chunks:
            self._chunks.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._chunks)
            self._chunks.clear()
        try:
            rest = self._take(data)
        except (IndexError, ValueError):  # an answer that nobody asked for, or one that is none
            said = data[:100].decode(errors="replace").strip()
            self.abort(f"what answers at {self.name} says: {said!r}, which is no answer of memcached's")
            return
        if rest:
            self._chunks.append(rest)
        if not self.takes_calls and len(self._owed) < MAX_OWED // 2:
            self._tell_flow()

    def pause_writing(self) -> None:
        self._is_writable = False
        self._tell_flow()

    def resume_writing(self) -> None:
        self._is_writable = True
        self._tell_flow()

    def connection_lost(self, exc: Exception | None) -> None:
        self._reason = self._reason or f"the connection to memcached at {self.name} was lost: {exc or 'it hung up'}"
        self._tell_flow()
        if self._watch is not None:
            self._watch.cancel()
        self._fail_calls(self._reason)
        if not self.lost.done():
            self.lost.set_result(self._reason)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> bytes:
        """Hand out the answers that have come whole; return the rest. Raises IndexError and ValueError."""
        owed = self._owed
        start, missing, size = 0, 1, len(data)
        while (end := data.find(b"\r\n", start)) >= 0:
            reply: Reply = data[start:end]
            after = end + 2
            if data.startswith(b"VA ", start):
                value_at, after = after, after + int(data[start + 3 : end].split(b" ", 1)[0]) + 2
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
            if not future.done():  # its caller may have gone away
                future.set_result(reply)
            start = after
            if type(reply) is bytes and reply.startswith(_ASTRAY):
                self.abort(f"memcached at {self.name} does not understand: {reply.decode(errors='replace')}")
                return b""
        self._missing = missing
        return data[start:] if start else data

    def _flush(self) -> None:
        if self._reason is not None or self._transport is None:
            if self.lost.done():  # connection_lost came and went before this call
                self._fail_calls(self._reason or "the connection was never made")
            return
        outgoing, self._outgoing = self._outgoing, []
        if not outgoing:  # a large call took it along
            return
        if self._watch is None:
            self._alive_at = self._loop.time()
            self._watch = self._loop.call_later(self._timeout, self._look)
        elif len(self._owed) == len(outgoing):
            self._alive_at = self._loop.time()  # nothing was owed before
        self._transport.write(outgoing[0] if len(outgoing) == 1 else b"".join(outgoing))
        if len(self._owed) > MAX_OWED:
            self._tell_flow()

    def _look(self) -> None:
        """Abort if the server has been silent for too long; look again when that could next be the case."""
        self._watch = None
        if not self._owed or self._transport is None:
            self._is_doubtful = False
            return
        unread = self._transport.get_write_buffer_size()
        if unread < self._unread:  # taking what we write is a sign of life
            self._alive_at = self._loop.time()
        self._unread = unread
        due = self._alive_at + self._timeout
        if due > self._loop.time():
            self._is_doubtful = False
            self._watch = self._loop.call_at(due, self._look)
        elif not self._is_doubtful:  # perhaps it was this process that slept, and the answer is here, unread
            self._is_doubtful = True
            self._watch = self._loop.call_later(GRACE_S, self._look)
        else:
            self._timed_out = True
            self.abort(f"memcached at {self.name} did not answer within {self._timeout:g} s (timeout)")

    def _fail_calls(self, reason: str) -> None:
        calls, sent = list(self._owed), len(self._owed) - len(self._outgoing)
        self._owed.clear()
        self._outgoing.clear()
        for place, future in enumerate(calls):
            if not future.done():
                future.set_exception(ConnectionLost(reason, was_sent=place < sent, timed_out=self._timed_out))

    def _tell_flow(self) -> None:
        self.takes_calls = self._reason is None and self._is_writable and len(self._owed) <= MAX_OWED
        if self.takes_calls or self._reason is not None:
            self.room.set()
        else:
            self.room.clear()
