"""Counts what a peer can do at no cost to itself, and limits how often it may do so in one period."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .frames import ErrorCode, Http2ConnectionError

if TYPE_CHECKING:
    from .limits import Limits


class Rates:
    """Counts for one connection."""

    __slots__ = ("_idle_frames", "_limits", "_resets")

    def __init__(self, limits: Limits):
        self._limits = limits
        self.start_period()

    def start_period(self) -> None:
        """Count from 0 again."""
        self._idle_frames = self._resets = 0

    def count_idle(self) -> None:
        """Count a frame that carries no request. Raises Http2ConnectionError."""
        self._idle_frames += 1
        if self._idle_frames > self._limits.idle_frames:
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that carry no call")

    def count_reset(self, code: ErrorCode) -> None:
        """Count a stream that was given up, unless we refused it: a client may not know our limit yet.

        Raises Http2ConnectionError.
        """
        self._resets += code is not ErrorCode.REFUSED_STREAM
        if self._resets > self._limits.resets:
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many calls were given up")
