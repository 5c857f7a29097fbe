"""One connection of gRPC clients: moves its bytes, and bounds the time and the memory that it may take.

`http2` turns bytes into streams, and `Calls` answers them. This module opens, writes, keeps alive, drains and closes
the connection.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from ..http2.frames import ErrorCode, Http2ConnectionError, PrefaceError
from .calls import Calls

if TYPE_CHECKING:
    from .listener import GrpcListener

log = logging.getLogger(__name__)

LATE_S: Final = 0.005
"""Seconds for which the answer to a PING may wait, so that it is sent together with a call's answer."""
NOT_HTTP2: Final = "this port speaks gRPC: HTTP/2 without TLS"
STOPPING: Final = "the sidecar is stopping"


class GrpcConnection(asyncio.Protocol):
    """One connection. `listener` is what all connections of its port share."""

    __slots__ = (
        "_arrival",
        "_began",
        "_calls",
        "_closes_since",
        "_drains_since",
        "_heard",
        "_http2",
        "_is_closing",
        "_is_ping_outstanding",
        "_late_write",
        "_limits",
        "_listener",
        "_loop",
        "_output",
        "_stalled_since",
        "_torn_held",
        "_torn_since",
        "_transport",
        "_unread",
    )

    def __init__(self, listener: GrpcListener):
        self._listener = listener
        self._limits = listener.limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set by connection_made
        self._calls = Calls(listener, self)
        self._http2 = self._calls.http2
        self._output = self._http2.output
        self._late_write: asyncio.TimerHandle | None = None
        self._arrival = 0
        self._is_closing = False
        self._began = self._heard = listener.now
        """When the connection was opened, and when the client last sent something."""
        self._is_ping_outstanding = False
        """A keepalive PING was sent, and nothing has been received since."""
        self._torn_since: float | None = None
        """When an incomplete frame or header block began to wait for its rest."""
        self._torn_held = 0
        """Bytes of it that are counted in the budget."""
        self._stalled_since: float | None = None
        """When the transport's buffer became full."""
        self._unread = 0
        """Written bytes that are still in the transport's buffer, and counted in the budget."""
        self._drains_since: float | None = None
        """When the first GOAWAY of a graceful end was sent, until the second one (RFC 9113, 6.8)."""
        self._closes_since: float | None = None
        """When closing began, if the client has not taken the remaining bytes yet."""

    # --- called by the transport ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports do not derive from asyncio's
        listener = self._listener
        has_room = listener.find_room(self._limits.connections)
        self._arrival = listener.budget.arrivals
        listener.open.add(self)
        self._http2.start()
        if not has_room:
            self._end(ErrorCode.ENHANCE_YOUR_CALM, f"{len(listener.open) - 1} connections are open and at work")
        elif listener.is_draining:  # it was still in the listener's backlog when the drain began
            self.drain()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closing = True
        self._forget_output()
        self._http2.close()
        self._count_torn()
        self._listener.lost(self)

    def data_received(self, data: bytes) -> None:
        self._heard = self._listener.now
        self._is_ping_outstanding = False
        is_new = True
        self._calls.begun_of_read = 0
        try:
            is_new = self._http2.receive(data)
        except PrefaceError as error:
            self._end(error.code, NOT_HTTP2)
        except Http2ConnectionError as error:
            self._end(error.code, str(error))
        if self._drains_since is not None and self._http2.has_read_shutdown:
            self._refuse_more()
        if not self._http2.incomplete:
            self._torn_since = None
            if self._torn_held:
                self._count_torn()
            return
        if self._torn_since is None or is_new:
            self._torn_since = self._listener.now
        self._count_torn()

    def pause_writing(self) -> None:
        """Pause reading too: a client that does not read its answers must not cause more of them."""
        self._stalled_since = self._listener.now
        self._output.is_paused = True
        self._count_unread()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._stalled_since = None
        self._output.is_paused = False
        self._count_unread()
        self._transport.resume_reading()
        self._http2.go_on()

    # --- what is held for the client ------------------------------------------------------------------------------

    def _count_torn(self) -> None:
        """Count the bytes that are held of an incomplete frame or header block."""
        held = self._http2.incomplete
        more, self._torn_held = held - self._torn_held, held
        budget = self._listener.budget
        budget.held += more
        if more > 0 and budget.held > budget.limit:
            budget.relieve()

    def _count_unread(self) -> None:
        """Count the bytes that are written and not yet taken by the client."""
        unread = self._transport.get_write_buffer_size()
        self._listener.budget.held += unread - self._unread
        self._unread = unread

    # --- writing --------------------------------------------------------------------------------------------------

    def output_ready(self) -> None:
        """Write once in each iteration of the event loop."""
        self._loop.call_soon(self._write)

    def output_may_wait(self) -> None:
        """Write with the next answer, or soon."""
        if self._late_write is None:
            self._late_write = self._loop.call_later(LATE_S, self._write_late)

    def write_now(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def _write(self) -> None:
        data = self._output.take()
        if data and not self._transport.is_closing():
            self._transport.write(data)
        if self._output.queued and self._output.has_more:
            self._loop.call_soon(self._http2.go_on)

    def _write_late(self) -> None:
        self._late_write = None
        self._write()

    def _forget_output(self) -> None:
        """Forget the output that is not written yet."""
        self._output.clear()
        self._listener.budget.held -= self._unread
        self._unread = 0
        if self._late_write is not None:
            self._late_write.cancel()

    # --- ends -----------------------------------------------------------------------------------------------------

    def _end(self, code: ErrorCode, why: str) -> None:
        """Send GOAWAY with a reason, and close the connection."""
        if self._is_closing:
            return
        log.debug("a gRPC connection is ended: %s: %s", code.name, why)
        self._http2.end(code, why)
        self._is_closing = True
        self._write()
        self._forget_output()
        self._transport.close()

    def sweep(self) -> None:
        """End calls, or the connection, that have been in one state for too long. Called once a second."""
        self._http2.start_period()
        now, limits = self._listener.now, self._limits
        self._count_unread()
        stalled = self._stalled_since
        if self._transport.is_closing():  # by us, or because the client has closed its side
            self._closes_since = now if self._closes_since is None else self._closes_since
            if now - self._closes_since > limits.stalled:
                self._transport.abort()
        elif stalled is not None and now - stalled > limits.stalled:
            self._transport.abort()
        elif not self._http2.has_settings and now - self._began > limits.preface:
            self._transport.abort()
        elif self._torn_since is not None and now - self._torn_since > limits.receiving:
            self._end(ErrorCode.ENHANCE_YOUR_CALM, f"a frame did not arrive within {limits.receiving:g} s")
        else:
            self._sweep_silence(now - self._heard)
            if self._drains_since is not None and now - self._drains_since > limits.draining:
                self._refuse_more()
            self._calls.sweep()
        self._calls.allow()

    def _sweep_silence(self, silence: float) -> None:
        """Send a keepalive PING on a silent connection, and close it if that is not answered."""
        limits = self._limits
        if silence <= limits.silence or self._stalled_since is not None:
            self._is_ping_outstanding = False
        elif silence > limits.silence + limits.pong:
            self._end(ErrorCode.NO_ERROR, f"nothing was heard for {silence:.0f} s")
        elif not self._is_ping_outstanding:
            self._is_ping_outstanding = True
            self._http2.ping()

    def waits(self) -> tuple[float, int] | None:
        if self._is_closing or self._stalled_since is not None:
            return None
        since = self._calls.waits_since(self._heard if self._torn_since is None else self._torn_since)
        return None if since is None else (since, self._arrival)

    def make_way(self) -> None:
        self._end(ErrorCode.NO_ERROR, "others need the connection")

    def weight(self, now: float) -> float:
        """Return the bytes that wait for the client, times the seconds for which they have waited."""
        if self._is_closing:
            return 0.0
        unread = 0.0 if self._stalled_since is None else self._unread * (now - self._stalled_since + 0.5)
        torn = 0.0 if self._torn_since is None else self._torn_held * (now - self._torn_since + 0.5)
        return unread + torn + self._calls.weight(now)

    def give_up(self, excess: int) -> None:
        """End calls that wait for the client, the heaviest first, and the connection if that frees too little."""
        excess = self._calls.give_up(excess, monotonic())
        if excess > 0 and self._stalled_since is not None and self._unread:
            self._transport.abort()
            self._is_closing = True
            self._forget_output()
        elif excess > 0 and self._torn_held:
            self._end(ErrorCode.ENHANCE_YOUR_CALM, "too much is held for all clients together")

    def drain(self) -> None:
        """Take no more calls, and close the connection when those in flight have ended.

        Calls that the client sends before it has read the first GOAWAY are still taken (RFC 9113, 6.8).
        """
        if not self._is_closing:
            self._drains_since = self._listener.now
            self._http2.announce_shutdown(STOPPING)

    def _refuse_more(self) -> None:
        """Send the second GOAWAY, with the last stream that is answered, and close the connection when all streams have
        ended.
        """
        self._drains_since = None
        self._http2.refuse_streams(STOPPING)
        self._calls.stop()
        self._calls.on_empty = self._close_when_done
        self._close_when_done()

    def _close_when_done(self) -> None:
        if not self._calls.is_empty or self._is_closing:
            return
        self._is_closing = True
        self._write()
        self._forget_output()
        self._http2.close()
        if not self._transport.is_closing():
            with suppress(OSError):  # asyncio's own loop raises where the client has reset the connection
                self._transport.write_eof()
        # If the client's frames (PING, WINDOW_UPDATE) came after a close, the kernel would answer with a reset, and the
        # client could lose what it has not read yet.
        self._loop.call_later(self._limits.lingering, self._transport.close)

    def abort(self) -> None:
        """Close the connection now."""
        self._transport.abort()
