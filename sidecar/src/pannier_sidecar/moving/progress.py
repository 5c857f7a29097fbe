"""Shows how far a move has come: with a bar on a terminal, otherwise with a line now and then."""

from __future__ import annotations

import os
from time import monotonic
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH: Final = 30
"""Characters of the bar."""
DRAWN_EVERY: Final = 0.1
REPORT_EVERY: Final = 30.0
"""Seconds between two lines of a long move without a terminal; each tenth of the keys has a line too."""


class Progress:
    """Writes the progress of a move to a stream; other lines must go through it too."""

    def __init__(self, stream: IO[str], environment: Mapping[str, str]):
        self._stream = stream
        self._is_terminal = stream.isatty() and environment.get("TERM") != "dumb"
        self._phase = ""
        self._total = 0
        self._tenth = 0
        self._shown_at = 0.0
        self._is_drawn = False

    def begin(self, phase: str, total: int) -> None:
        """Begin a phase such as `copying`, with `total` keys."""
        self.end()
        self._phase, self._total, self._tenth, self._shown_at = phase, total, 0, monotonic()
        if not self._is_terminal:
            self._line(f"{phase}: {total} to go through")

    def show(self, done: int) -> None:
        """Show how many of the keys are done."""
        now = monotonic()
        if self._is_terminal:
            if now - self._shown_at >= DRAWN_EVERY or done >= self._total:
                self._shown_at = now
                self._draw(done)
            return
        tenth = done * 10 // self._total if self._total else 10
        if tenth > self._tenth or now - self._shown_at >= REPORT_EVERY:
            self._tenth, self._shown_at = tenth, now
            self._line(f"{self._phase}: {done} of {self._total}")

    def say(self, line: str) -> None:
        """Write a separate line, above the bar."""
        self._clear()
        self._line(line)

    def end(self) -> None:
        """Leave the bar as it is and continue below it."""
        if self._is_drawn:
            self._stream.write("\n")
            self._stream.flush()
            self._is_drawn = False

    def _draw(self, done: int) -> None:
        share = min(1.0, done / self._total) if self._total else 1.0
        filled = round(WIDTH * share)
        bar = "#" * filled + "." * (WIDTH - filled)
        text = f"{self._phase} [{bar}] {share:4.0%}  {done} of {self._total}"
        self._stream.write("\r" + text[: _columns(self._stream) - 1])
        self._stream.flush()
        self._is_drawn = True

    def _clear(self) -> None:
        if self._is_drawn:
            self._stream.write("\r" + " " * (_columns(self._stream) - 1) + "\r")
            self._is_drawn = False

    def _line(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


def _columns(stream: IO[str]) -> int:
    try:
        return max(20, os.get_terminal_size(stream.fileno()).columns)
    except OSError:
        return 80
