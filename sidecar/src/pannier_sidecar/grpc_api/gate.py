"""Holds calls back while their client does not read earlier answers."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..http2.output import Output
    from .call import Call
    from .listener import GrpcListener


class Gate:
    """The gate of one connection. Only calls with a single answer pass through it."""

    __slots__ = ("_listener", "_loop", "begun", "is_penalized", "output", "waiting")

    def __init__(self, listener: GrpcListener, output: Output):
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self.output = output
        self.waiting: deque[asyncio.Future[None]] = deque()
        """One future for each waiting call, in order; its result lets the call begin."""
        self.begun = 0
        """Calls that are being answered."""
        self.is_penalized = False
        """An answer was dropped. No call begins before the next sweep, because its answer might be dropped too."""

    def is_open(self) -> bool:
        """Return whether a call may begin without `wait`."""
        is_free = self.begun < self._listener.at_once and not self.output.queued
        return is_free and not self.waiting and not self.is_penalized

    async def wait(self, call: Call) -> None:
        """Wait until the client has read enough of the answers before this one."""
        is_first = not self.waiting
        while not is_first or self._is_full():
            call.waits, is_first = True, True
            opened = self._loop.create_future()
            self.waiting.append(opened)
            await opened
        call.waits = False
        if self.waiting:
            self._loop.call_soon(self.open)

    def open(self) -> None:
        """Start the next waiting call, if there is room for it."""
        while self.waiting and (self.waiting[0].done() or not self._is_full()):
            opened = self.waiting.popleft()
            if not opened.done():  # otherwise its call was given up
                opened.set_result(None)
                break

    def _is_full(self) -> bool:
        """Return whether unread answers, and the expected answers of calls in progress, fill the connection's share."""
        if self.is_penalized:
            return True
        queued, begun, share = self.output.queued, self.begun, self._listener.share
        return queued > share or (begun > 0 and queued + (begun + 1) * self._listener.expected > share)
