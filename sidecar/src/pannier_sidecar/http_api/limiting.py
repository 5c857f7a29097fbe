"""The limits of one connection: it ends when it takes too long, holds too much, or is not needed any more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..serving import ONE_TURN_S, TICK_S, time_to_take
from .messages import Call
from .receiving import Receiver

if TYPE_CHECKING:
    from ..serving import Listener
    from .limits import Limits


class LimitedConnection(Receiver):
    """A connection whose answers are made elsewhere."""

    __slots__ = ("_arrival", "_drained", "_is_busy", "_left", "_loop", "_opened_at", "_taking", "_unread", "_whole")

    def __init__(self, listener: Listener, limits: Limits):
        super().__init__(listener, limits)
        self._loop = asyncio.get_running_loop()
        self._arrival = 0
        self._opened_at = 0.0
        self._is_busy = False
        """A request is being answered."""
        self._drained: asyncio.Event | None = None
        """Set when the client has read its answers; None: it does not fall behind."""
        self._unread = 0
        """Bytes that are counted for the answer that the client is reading."""
        self._left = 0
        """Bytes of it that were not sent yet when that was last looked at."""
        self._whole = 0
        """Bytes of its body, which is held as a whole until all of it is sent; 0 if it is small."""
        self._taking: tuple[float, int] = (listener.now, 0)
        """When the client fell behind with the current answer, and how many bytes were unread at that time."""

    def _count_unread(self, size: int) -> None:
        """Count what is held for the client in the budget of all clients, if `size` bytes are not sent yet."""
        self._left = size
        if size:
            size = max(size, self._whole)
        else:
            self._whole = 0
        more, self._unread = size - self._unread, size
        budget = self._listener.budget
        budget.held += more
        if more > 0 and budget.held > budget.limit:
            budget.relieve()

    def sweep(self) -> None:
        """Close the connection if it has been in one state for too long. Called once a second."""
        limits = self._limits
        waited = self._listener.now - self._since
        unread, before = self._transport.get_write_buffer_size(), self._left
        if unread != before:
            self._count_unread(unread)
        if self._drained is not None:
            began, size = self._taking
            if waited > limits.stalled and unread >= before:
                self._transport.abort()
            elif self._listener.now - began > time_to_take(size, limits.stalled):
                self._transport.abort()
            elif unread < before:
                self._since = self._listener.now
        elif self._transport.is_closing():
            if waited > limits.stalled:  # the client does not take its last answer
                self._transport.abort()
        elif self._is_busy:  # a store is answering; what the client sends meanwhile may be waiting in the network
            if (incoming := self.incoming) is not None:
                incoming.judge(TICK_S, limits.stalled)
        elif self._is_lingering:
            if waited > limits.lingering:
                self._transport.close()
        elif self._in_message:
            if waited > limits.receiving:
                self._refuse(
                    408, f"the request did not arrive within {limits.receiving:g} s; send it faster or in parts"
                )
        elif waited > (limits.receiving if self._is_torn else limits.idle):  # torn: only empty lines have arrived
            self._transport.close()

    def waits(self) -> tuple[float, int] | None:
        if self._is_busy or self._is_lingering or self._transport.is_closing():
            return None
        return self._since, self._arrival

    def make_way(self) -> None:
        self._transport.close()

    def weight(self, now: float) -> float:
        """Return the bytes that wait for the client, times the seconds for which they have waited."""
        if self._is_lingering or self._transport.is_closing():
            return 0.0
        began = self._since if self._drained is None else self._taking[0]
        return (self._waiting_bytes() + self._unread) * (now - began + 0.5)

    def _waiting_bytes(self) -> int:
        """Return the bytes of requests that are not being answered yet."""
        bodies = sum(len(item.body) for item in self._queue if isinstance(item, Call))
        body = len(self._body) if self.incoming is None else self.incoming.held
        return body + self._header_held + self._unparsed_held + self._queued + bodies

    def give_up(self, excess: int) -> None:
        """Drop what waits for the client: an unfinished request, requests after the current one, or the answer."""
        if self._unread:
            self._count_unread(0)
            self._transport.abort()
        else:
            limit = self._listener.budget.limit
            if self.incoming is None:  # else its call may be waiting, and reports the refusal
                self._drop_waiting()
            self._refuse(503, f"requests of over {limit} bytes are in flight; send fewer large ones at once")

    def drain(self) -> None:
        """Close the connection when all its requests are answered.

        Until then the client may send another request; the answer to that has `connection: close`.
        """
        limits = self._limits
        patience = limits.unused_since_opened if self._since == self._opened_at else limits.unused
        self._loop.call_later(patience, self._close_after_reading)

    def _close_after_reading(self) -> None:
        """Close the connection unless another request has arrived meanwhile."""
        self._loop.call_later(ONE_TURN_S, self._close_if_unused)

    def _close_if_unused(self) -> None:
        if not self._is_busy and not self._in_message and not self._is_lingering:
            self._transport.close()

    def abort(self) -> None:
        """Close the connection now."""
        self._transport.abort()
