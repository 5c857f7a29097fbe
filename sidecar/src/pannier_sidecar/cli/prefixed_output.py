"""Writes the app's output, line by line with a prefix.

Threads do blocking reads and writes, so neither a chatty app nor a slow terminal delays the state API. Bytes are passed
on unchanged; a line that does not end is written when it is 64 KiB long or the app ends.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

_MAX_LINE: Final = 64 * 1024
_PREFIX: Final = b"== APP == "
_COLOUR: Final = b"\x1b[36m== APP ==\x1b[0m "  # cyan, which both dark and light terminals show


def prefix_for(stream: BinaryIO, environment: Mapping[str, str]) -> bytes:
    """Return the prefix, coloured on a terminal unless NO_COLOR (no-color.org) or a dumb terminal says otherwise."""
    is_plain = environment.get("NO_COLOR") or environment.get("TERM") == "dumb" or not stream.isatty()
    return _PREFIX if is_plain else _COLOUR


class PrefixedOutput:
    """A pipe for a child to write to, and the thread that copies it."""

    def __init__(self, target: BinaryIO, prefix: bytes):
        """Open the pipe; `inlet` is for the child. Call `start` when the child has it."""
        self._outlet, self.inlet = os.pipe()
        self._target = target
        self._prefix = prefix
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
        while chunk := os.read(self._outlet, _MAX_LINE):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) >= _MAX_LINE:
                lines.append(rest)
                rest = b""
            if lines:
                self._write(b"".join(self._prefix + line + b"\n" for line in lines))
        if rest:
            self._write(self._prefix + rest + b"\n")
        os.close(self._outlet)

    def _write(self, text: bytes) -> None:
        """Write to the target. If that is closed, throw the output away, so that the app is not blocked."""
        try:
            self._target.write(text)
            self._target.flush()
        except (OSError, ValueError):
            self._target = open(os.devnull, "wb")
