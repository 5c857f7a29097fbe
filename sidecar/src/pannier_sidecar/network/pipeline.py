"""One connection for all calls. Those of one iteration of the loop share a write; answers come in the calls' order."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from pannier_sidecar.network import answers
from pannier_sidecar.network.reasons import reason

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_OWED: Final = 50_000
"""Answers that may be outstanding before further calls have to wait: some tens of megabytes at the worst."""
LARGE: Final = 64 * 1024
"""A call of more bytes is sent at once, together with the calls before it."""
WRITE_HIGH_WATER: Final = 1024 * 1024
"""Bytes that may wait for the server to read before further calls have to wait."""
GRACE_S: Final = 0.05
"""Seconds between noticing that an answer is overdue and giving the server up."""
MAX_TIMEOUTS: Final = 4
"""A call is overdue after this many timeouts, even if the server keeps answering the calls before it."""


class ConnectionLostError(Exception):
    """The connection ended before the answer came."""

    def __init__(self, reason: str, *, was_sent: bool, timed_out: bool = False):
        super().__init__(reason)
        self.was_sent = was_sent
        """False: the server has certainly received nothing of the call."""
        self.timed_out = timed_out
        """The call waited for its answer as long as a call may."""


class Caller(Protocol):
    """Who is owed an answer: a future, or an object that takes results like one and costs less."""

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, exception: ConnectionLostError, /) -> None: ...


class Pipeline(asyncio.Protocol):
    """A connection that answers in order. Its maker may set `on_flow`, and awaits `lost`.

    Only a subclass knows what an answer is: its `read` parses answers, and gives each to the call that is `owed` it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, server: str, timeout: float, timeout_field: str):
        """`timeout` is how many seconds the server may be silent while it owes answers; the component's `timeout_field`
        sets it.
        """
        self.lost: asyncio.Future[str] = loop.create_future()
        """Done when the connection has ended; its result says why."""
        self.takes_calls = True
        """False: it has ended, or the server does not keep up."""
        self.on_flow: Callable[[bool], None] = _ignore_flow
        """Called with whether calls may be sent now."""
        # A call that is owed several answers has None for each but the last, which has its caller.
        self.owed: deque[Caller | None] = deque()
        self._server = server
        self._loop = loop
        self._create_future = loop.create_future
        self._call_soon = loop.call_soon
        self._timeout = timeout
        self._timeout_field = timeout_field
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []
        self._is_unshared = False
        """Whether the last write had only one call. If so, the next read is written at once if nothing is owed: a
        single caller would wait for the end of the iteration, and no other call would share the write."""
        self._silent_since: float | None = None
        """Loop time of the last answer, moved on by each piece of the next one; None while nothing is owed."""
        self._unfinished = 0
        """Bytes that came since the last whole answer."""
        self._ahead = 0
        """Answers that were owed at `_marked_at` and have not come."""
        self._marked_at = 0.0
        self._moved = 0
        """Bytes since `_marked_at`: bytes received, and bytes that the server took from the write buffer."""
        self._unread = 0
        """Bytes that the server had not read at the last check."""
        self._is_timeout_suspected = False
        """Whether one check has already found it silent for too long."""
        self._silence_check: asyncio.TimerHandle | None = None
        self._is_writable = True
        self._is_full = False
        self._reason: str | None = None
        self._timed_out = False

    @abstractmethod
    def read(self, data: bytes) -> None:
        """Parse what was received, and give the answers in it to their calls. May abort the connection."""

    def send(self, payload: bytes, answers: int = 1) -> asyncio.Future[Any]:
        """Send a call; the future has its answer, or fails with ConnectionLostError."""
        future = self._create_future()
        self.send_for(future, payload, answers)
        return future

    def send_for(self, caller: Caller, payload: bytes, answers: int = 1, *, is_read: bool = False) -> None:
        """Send a call; `caller` gets its answer, or a ConnectionLostError, in a later iteration of the loop.

        A read may be sent at once. Writes wait for the end of the iteration: if the connection turns out to be lost in
        it, they certainly did not happen.
        """
        owed, outgoing = self.owed, self._outgoing
        if is_read and self._is_unshared and not owed and self._reason is None and self._transport is not None:
            self._write(payload)
        else:
            if not outgoing:
                self._call_soon(self._flush)
            outgoing.append(payload)
        if answers == 2:
            owed.append(None)
        elif answers > 2:
            owed.extend(repeat(None, answers - 1))
        owed.append(caller)
        if len(payload) > LARGE:
            self._flush()  # later calls of this iteration then know when the server does not keep up

    def check_gone(self, caller: Caller, error: Exception) -> None:
        """Ignore an error in delivering an answer if its caller has gone. Any other error is a defect.

        A defect is reported, and does not affect other calls.
        """
        if isinstance(error, asyncio.InvalidStateError) and isinstance(caller, asyncio.Future) and caller.done():
            return
        context = {"message": f"an answer of {self._server} could not be taken", "exception": error}
        self._loop.call_exception_handler(context)

    @property
    def server(self) -> str:
        """What the server is called in messages."""
        return self._server

    @property
    def why_ended(self) -> str | None:
        """Why calls get no answers any more; None while they do."""
        return self._reason

    def abort(self, reason: str) -> None:
        """End the connection at once; calls in flight fail."""
        if self._reason is None:
            self._reason = reason
            self._update_flow()
            if self._transport is not None:
                self._transport.abort()

    # --- asyncio.Protocol -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        before = len(self.owed)
        self.read(data)
        left = len(self.owed)
        self._moved += len(data)
        if left < before:
            self._unfinished = 0
            self._ahead -= before - left
            self._silent_since = self._loop.time() if left else None
        else:
            self._take_unfinished(len(data))
        if self._is_full and len(self.owed) < MAX_OWED // 2:
            self._is_full = False
            self._update_flow()

    def _take_unfinished(self, size: int) -> None:
        """Count a piece of an answer: the larger it is, the longer the next may take."""
        self._unfinished += size
        if self._unfinished > answers.limit():
            self.abort(str(answers.too_large(self._server)))
        self._note_progress(size)

    def _note_progress(self, size: int) -> None:
        if self._silent_since is not None:
            self._silent_since = min(self._loop.time(), self._silent_since + size / answers.RATE)

    def pause_writing(self) -> None:
        self._is_writable = False
        self._update_flow()

    def resume_writing(self) -> None:
        self._is_writable = True
        self._update_flow()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._reason is None:
            self._reason = f"the connection to {self._server} was lost: {reason(exc)}"
            self._update_flow()
        if self._silence_check is not None:
            self._silence_check.cancel()
        self._fail_calls(self._reason)
        if not self.lost.done():
            self.lost.set_result(self._reason)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        outgoing = self._outgoing
        if self._reason is not None or self._transport is None:
            if self.lost.done():  # connection_lost ran before this call was sent
                self._fail_calls(self._reason or "the connection was never made")
            return
        if not outgoing:  # a large call has already sent it
            return
        self._outgoing = []
        self._is_unshared = len(outgoing) == 1
        self._write(outgoing[0] if self._is_unshared else b"".join(outgoing))
        if len(self.owed) > MAX_OWED:
            self._is_full = True
            self._update_flow()

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)
        if self._silent_since is None:
            self._silent_since = self._loop.time()
            if self._silence_check is None:
                self._silence_check = self._loop.call_later(self._timeout, self._check_silence)

    def _check_silence(self) -> None:
        """Abort if the server has been silent for too long; check again when that could next be the case."""
        self._silence_check = None
        if self._silent_since is None or self._transport is None:
            self._is_timeout_suspected = False
            return
        unread = self._transport.get_write_buffer_size()
        if unread < self._unread:  # taking what we write is a sign of life
            self._note_progress(self._unread - unread)
            self._moved += self._unread - unread
        self._unread = unread
        due = min(self._silent_since + self._timeout, self._overdue())
        if due > self._loop.time():
            self._is_timeout_suspected = False
            self._silence_check = self._loop.call_at(due, self._check_silence)
        elif not self._is_timeout_suspected:  # perhaps it was this process that slept, and the answer is here, unread
            self._is_timeout_suspected = True
            self._silence_check = self._loop.call_later(GRACE_S, self._check_silence)
        else:
            self._timed_out = True
            self.abort(f"{self._server} did not answer within {self._timeout:g} s ({self._timeout_field})")

    def _overdue(self) -> float:
        """Return when the connection is given up for a call that waits behind others."""
        if self._ahead <= 0:
            self._ahead = len(self.owed)
            self._marked_at, self._moved = self._loop.time(), 0
        return self._marked_at + MAX_TIMEOUTS * self._timeout + self._moved / answers.RATE

    def _fail_calls(self, reason: str) -> None:
        calls = [caller for caller in self.owed if caller is not None]
        sent = len(calls) - len(self._outgoing)
        self.owed.clear()
        self._outgoing.clear()
        for place, caller in enumerate(calls):
            if not (isinstance(caller, asyncio.Future) and caller.done()):
                caller.set_exception(ConnectionLostError(reason, was_sent=place < sent, timed_out=self._timed_out))

    def _update_flow(self) -> None:
        self.takes_calls = self._reason is None and self._is_writable and not self._is_full
        self.on_flow(self.takes_calls)


def _ignore_flow(_: bool) -> None:
    return
