"""One HTTP/2 connection as a server has it (RFC 9113, cited by section), from its preface to its end.

`Receiver` reads what comes in, `Sender` writes what goes out; here a connection is opened, kept alive, bounded in time,
drained and closed. Subclasses of `Http2Connection` say what a request means.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from . import frames
from .frames import MAX_WINDOW, ErrorCode
from .receiving import DRAIN_PING, AnyStream, Receiver
from .sending import Sender

if TYPE_CHECKING:
    import asyncio

    from ..serving import Listener
    from .limits import Limits

log = logging.getLogger(__name__)

KEEPALIVE_PING: Final = b"speak up"


class Http2Connection(Receiver[AnyStream]):
    """One connection. `listener` is what all connections of its port share."""

    __slots__ = ("_arrival", "_began", "_closes_since")

    def __init__(self, listener: Listener[Any], limits: Limits, max_message: int):
        super().__init__(listener, limits, max_message)
        self._arrival = 0
        self._began = listener.now
        self._closes_since: float | None = None
        """Since when the connection is being closed, and the client does not take what is left."""

    # --- for subclasses -------------------------------------------------------------------------------------------

    def _sweep_stream(self, stream: AnyStream) -> None:
        """End a stream that has been in one state for too long."""
        raise NotImplementedError

    def _stop(self, stream: AnyStream) -> None:
        """End a stream that would never end by itself, because the connection is draining."""
        raise NotImplementedError

    # --- called by the transport ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports do not derive from asyncio's
        listener, limits = self._listener, self._limits
        has_room = listener.find_room(limits.connections)
        self._arrival = listener.budget.arrivals
        listener.open.add(self)
        self._sender = Sender(self._transport, listener, self._close)
        settings = {
            frames.MAX_CONCURRENT_STREAMS: limits.streams,
            frames.INITIAL_WINDOW_SIZE: self._own_window,
            frames.MAX_HEADER_LIST_SIZE: limits.header_list,
        }
        self._sender.write(frames.settings(settings))
        self._open_window(4 * self._own_window - self._receive_window)
        if not has_room:
            self._end(ErrorCode.ENHANCE_YOUR_CALM, f"{len(listener.open) - 1} connections are open and at work")
        elif listener.is_draining:  # it was in the queue of the listener
            self.drain()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closing = True
        self._sender.forget()
        for stream in list(self._streams.values()):
            self._forget(stream)
        self._rest, self._block = b"", None
        self._count_torn()
        self._listener.lost(self)

    def pause_writing(self) -> None:
        """Pause reading too: a client that does not read its answers must not add to them."""
        self._sender.stalled_since = self._listener.now
        self._sender.count_unread()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._sender.stalled_since = None
        self._sender.count_unread()
        self._transport.resume_reading()
        self._sender.go_on()

    # --- ends -----------------------------------------------------------------------------------------------------

    def _end(self, code: ErrorCode, why: str) -> None:
        """Send GOAWAY with a reason, and close the connection."""
        if self._is_closing:
            return
        log.debug("a gRPC connection is ended: %s: %s", code.name, why)
        self._sender.write(frames.goaway(self._last_id, code, why))
        self._is_closing = True
        self._sender.close()

    def sweep(self) -> None:
        """End what has been in one state for too long. Called once a second."""
        self._idle_frames = self._resets = 0
        now, limits = self._listener.now, self._limits
        self._sender.count_unread()
        stalled = self._sender.stalled_since
        if self._transport.is_closing():  # by us, or because the client has closed its side
            self._closes_since = now if self._closes_since is None else self._closes_since
            if now - self._closes_since > limits.stalled:
                self._transport.abort()
        elif stalled is not None and now - stalled > limits.stalled:
            self._transport.abort()
        elif not self._has_settings and now - self._began > limits.preface:
            self._transport.abort()
        elif self._torn_since is not None and now - self._torn_since > limits.receiving:
            self._end(ErrorCode.ENHANCE_YOUR_CALM, f"a frame did not arrive within {limits.receiving:g} s")
        else:
            self._sweep_silence(now - self._heard)
            if self._drains_since is not None and now - self._drains_since > limits.draining:
                self._refuse_more()
            for stream in list(self._streams.values()):
                self._sweep_stream(stream)

    def _sweep_silence(self, silence: float) -> None:
        """Send a keepalive PING on a silent connection, and close it if that is not answered."""
        limits = self._limits
        if silence <= limits.silence or self._sender.stalled_since is not None:
            self._is_ping_outstanding = False
        elif silence > limits.silence + limits.pong:
            self._end(ErrorCode.NO_ERROR, f"nothing was heard for {silence:.0f} s")
        elif not self._is_ping_outstanding:
            self._is_ping_outstanding = True
            self._sender.write(frames.frame(frames.PING, 0, 0, KEEPALIVE_PING))

    def waits(self) -> tuple[float, int] | None:
        streams = self._streams.values()
        if self._is_closing or self._sender.stalled_since is not None or any(stream.is_ended for stream in streams):
            return None
        heard = self._heard if self._torn_since is None else self._torn_since
        return min((stream.since for stream in streams), default=heard), self._arrival

    def make_way(self) -> None:
        self._end(ErrorCode.NO_ERROR, "others need the connection")

    def weight(self, now: float) -> float:
        """Return bytes that wait for the client, times the seconds that they do."""
        if self._is_closing:
            return 0.0
        sender = self._sender
        unread = 0.0 if sender.stalled_since is None else sender.unread * (now - sender.stalled_since + 0.5)
        torn = 0.0 if self._torn_since is None else self._torn_held * (now - self._torn_since + 0.5)
        return unread + torn + sum(size * age for size, age, _ in self._waiting(now))

    def give_up(self, excess: int) -> None:
        """End streams that wait for the client, the heaviest first, and the connection if that frees too little."""
        for size, _, stream in sorted(self._waiting(monotonic()), key=lambda one: one[0] * one[1], reverse=True):
            if excess <= 0:
                return
            self._let_go_of(stream)
            excess -= size
        sender = self._sender
        if excess > 0 and sender.stalled_since is not None and sender.unread:
            self._transport.abort()
            self._is_closing = True
            sender.forget()
        elif excess > 0 and self._torn_held:
            self._end(ErrorCode.ENHANCE_YOUR_CALM, "too much is held for all clients together")

    def _waiting(self, now: float) -> list[tuple[int, float, AnyStream]]:
        """Return the streams that wait for the client: the bytes that each makes us hold, and for how many seconds."""
        raise NotImplementedError

    def _let_go_of(self, stream: AnyStream) -> None:
        """End a stream that makes us hold too much."""
        raise NotImplementedError

    def drain(self) -> None:
        """Take no more calls, and close the connection when those in flight have ended.

        Calls that the client sends before it has read the first GOAWAY are still taken (RFC 9113, 6.8). The ACK of the
        PING behind it shows that it has.
        """
        if self._is_closing:
            return
        self._drains_since = self._listener.now
        ping = frames.frame(frames.PING, 0, 0, DRAIN_PING)
        self._sender.write(frames.goaway(MAX_WINDOW, ErrorCode.NO_ERROR, "the sidecar is stopping") + ping)

    def _refuse_more(self) -> None:
        """Send the second GOAWAY, with the last stream that is answered, and close the connection when all have
        ended.
        """
        self._drains_since = None
        self._is_draining = True
        self._sender.write(frames.goaway(self._last_id, ErrorCode.NO_ERROR, "the sidecar is stopping"))
        for stream in list(self._streams.values()):
            self._stop(stream)
        self._close_when_done()

    def _close_when_done(self) -> None:
        if not self._streams and not self._is_closing:
            self._is_closing = True
            self._sender.end()
            # What the client has under way (PINGs, windows) would reset what is under way to it.
            self._loop.call_later(self._limits.lingering, self._transport.close)

    def abort(self) -> None:
        """Close the connection now."""
        self._transport.abort()
