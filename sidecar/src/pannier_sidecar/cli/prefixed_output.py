"""Writes the app's output, line by line with a prefix.

Threads do blocking reads and writes, so neither a chatty app nor a slow terminal delays the state API. Bytes are passed
on unchanged; a line that does not end is written when it is 64 KiB long or the app ends.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import BinaryIO

_MAX_LINE: Final = 64 * 1024
_CHUNK: Final = 64 * 1024
APP_PREFIX: Final = b"== APP == "


def prefix_for(stream: BinaryIO, environment: Mapping[str, str], name: str = "APP") -> bytes:
    """Return the prefix, coloured on a terminal unless NO_COLOR (no-color.org) or a dumb terminal says otherwise.

    The colour is cyan, which both dark and light terminals show.
    """
    is_plain = environment.get("NO_COLOR") or environment.get("TERM") == "dumb" or not stream.isatty()
    return (f"== {name} == " if is_plain else f"\x1b[36m== {name} ==\x1b[0m ").encode()


class LineCopy:
    """A pipe for a child to write to, and the thread that passes its lines on."""

    def __init__(self, write: Callable[[Sequence[bytes]], None], max_line: int = _MAX_LINE):
        """Open the pipe; `inlet` is for the child. Call `start` when the child has it.

        `write` gets lines without their ends. A longer line than `max_line` bytes comes in pieces.
        """
        self._outlet, self.inlet = os.pipe()
        self._write = write
        self._max_line = max_line
        self._thread = threading.Thread(target=self._copy, name="app output", daemon=True)

    def start(self) -> None:
        """Begin to copy, and close our own end of the inlet."""
        os.close(self.inlet)
        self._thread.start()

    def discard(self) -> None:
        """Close the pipe if no child was started."""
        os.close(self.inlet)
        os.close(self._outlet)

    def finish(self, seconds: float) -> None:
        """Wait at most that long for the remaining output: a process of the app may still hold the pipe open."""
        self._thread.join(seconds)

    def _copy(self) -> None:
        rest = b""
        while chunk := os.read(self._outlet, _CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) >= self._max_line:
                lines.append(rest)
                rest = b""
            if lines:
                self._write(lines)
        if rest:
            self._write([rest])
        os.close(self._outlet)


class PrefixedOutput(LineCopy):
    """Copies the lines to a stream, each with a prefix."""

    def __init__(self, target: BinaryIO, prefix: bytes):
        super().__init__(self._write_lines)
        self._target = target
        self._prefix = prefix

    def _write_lines(self, lines: Sequence[bytes]) -> None:
        """Write to the target. If that is closed, throw the output away, so that the app is not blocked."""
        try:
            self._target.write(b"".join(self._prefix + line + b"\n" for line in lines))
            self._target.flush()
        except (OSError, ValueError):
            self._target = open(os.devnull, "wb")
