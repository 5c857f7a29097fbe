"""Enforces the limits on the calls of one connection: ends calls that take too long or hold too much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..http2.frames import ErrorCode
from ..serving import time_to_take
from .answers import failure_block
from .status import Code, StatusError

if TYPE_CHECKING:
    from ..http2.connection import Http2Connection
    from .call import Call
    from .gate import Gate
    from .listener import GrpcListener


class LimitedCalls:
    """The open calls of one connection, and what they may hold."""

    __slots__ = ("_gate", "_limits", "_listener", "_open", "_progressed", "http2")

    http2: Http2Connection
    _gate: Gate

    def __init__(self, listener: GrpcListener):
        self._listener = listener
        self._limits = listener.limits
        self._open: dict[int, Call] = {}
        self._progressed = listener.now
        """When a delayed part of an answer was last sent."""

    def _count(self, call: Call, size: int) -> None:
        """Count memory that a call makes us hold; a negative size is released."""
        call.held += size
        budget = self._listener.budget
        budget.held += size
        if size > 0 and budget.held > budget.limit:
            budget.relieve()

    def _fail(self, call: Call, failure: StatusError) -> None:
        """End a call with a status other than OK."""
        if self._open.get(call.id) is call:
            self.http2.end_stream(call.id, failure_block(failure, has_begun=call.has_begun))

    def _expire(self, call: Call) -> None:
        self._fail(call, StatusError(Code.DEADLINE_EXCEEDED, "the deadline passed"))

    def waits_since(self, heard: float) -> float | None:
        """Return when the wait for the client began: `heard` if no call is open; None while a call is being
        answered.
        """
        if any(call.is_whole for call in self._open.values()):
            return None
        return min((call.since for call in self._open.values()), default=heard)

    def weight(self, now: float) -> float:
        """Return the bytes that wait for the client, times the seconds for which they have waited."""
        return sum(size * age for size, age, _ in self._waiting(now))

    def give_up(self, excess: int, now: float) -> int:
        """End calls that wait for the client, the heaviest first. Return how much of the excess is left."""
        for size, _, call in sorted(self._waiting(now), key=lambda one: one[0] * one[1], reverse=True):
            if excess <= 0:
                break
            self._let_go_of(call)
            excess -= size
        return excess

    def _waiting(self, now: float) -> list[tuple[int, float, Call]]:
        """Return the calls that wait for the client, with the bytes that each makes us hold and its waiting time."""
        waiting: list[tuple[int, float, Call]] = []
        for call in self._open.values():
            if call.queued:
                waiting.append((call.queued + call.held, now - call.kept + 0.5, call))
            elif call.held and (call.waits or (call.task is None and not call.is_begun)):
                waiting.append((call.held, now - call.since + 0.5, call))
        return waiting

    def _let_go_of(self, call: Call) -> None:
        """End a call that makes us hold too much."""
        self._gate.is_penalized = True
        if call.has_begun:  # a part of its message may have been sent
            self.http2.reset(call.id, ErrorCode.ENHANCE_YOUR_CALM)
            return
        why = "too much is held for all clients together; send fewer large requests at once, and take their answers"
        self._fail(call, StatusError(Code.RESOURCE_EXHAUSTED, why))

    def allow(self) -> None:
        """Let calls begin again after some were given up. Called once a second."""
        self._gate.is_penalized = False
        self._gate.open()

    def sweep(self) -> None:
        """End calls that have been in one state for too long."""
        now, limits = self._listener.now, self._limits
        for call in list(self._open.values()):
            took = now - call.since
            if call.queued:
                # The stream's window is open: the connection's is closed, or other streams are sent first.
                if self.http2.is_window_open(call.id):
                    took = now - max(call.since, self._progressed)
                if took > limits.stalled or now - call.kept > time_to_take(call.kept_behind, limits.stalled):
                    self.http2.reset(call.id, ErrorCode.CANCEL)
            elif not call.is_whole and (call.received or not call.method.is_streaming) and took > limits.receiving:
                why = f"the request did not arrive within {limits.receiving:g} s"
                self._fail(call, StatusError(Code.CANCELLED, why))

    def stop(self) -> None:
        """End the calls that would never end by themselves, so that the connection can drain."""
        for call in list(self._open.values()):
            method = call.method
            is_endless = method.poll_interval is not None or method.stream is not None
            if is_endless or (method.is_streaming and call.task is None):
                self._fail(call, StatusError(Code.UNAVAILABLE, "the sidecar is stopping"))

    @property
    def is_empty(self) -> bool:
        """Whether no call is open."""
        return not self._open
