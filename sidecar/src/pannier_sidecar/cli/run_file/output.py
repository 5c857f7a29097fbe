"""Where the lines of an app and of its sidecar go: the console, with a prefix, or a file, or both."""

from __future__ import annotations

import os
import sys
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final

from pannier_sidecar.cli.prefixed_output import APP_PREFIX, LineCopy, prefix_for
from pannier_sidecar.cli.starting import StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pannier_sidecar.cli.run_file.planning import AppPlan

_MAX_LINE: Final = 1024 * 1024
"""Longer than the longest line of the app's sidecar, which must not be cut: it would lose its prefix."""
_REMEMBERED: Final = 20


class Target:
    """What the lines of one program are written to."""

    def __init__(self, console: BinaryIO | None, prefix: bytes, file: BinaryIO | None):
        self._console, self._prefix, self._file = console, prefix, file

    def write(self, lines: Sequence[bytes]) -> None:
        """Write the lines. What can't be written is dropped, so that the program is not blocked."""
        if self._file is not None:
            with suppress(OSError, ValueError):
                self._file.write(b"".join(line + b"\n" for line in lines))
        if self._console is not None:
            with suppress(OSError, ValueError):
                self._console.write(b"".join(self._prefix + line + b"\n" for line in lines))
                self._console.flush()


class AppOutput:
    """The two pipes that the sidecar of one app writes to. It marks the lines of the app by a prefix."""

    def __init__(self, plan: AppPlan, time: str, environment: Mapping[str, str]):
        """Open the pipes and the log files. `time` is part of the files' names. Raises StartError."""
        self.app_log = _log_of(plan, "app", plan.app_destination, time)
        self.sidecar_log = _log_of(plan, "daprd", plan.sidecar_destination, time)
        self._app_file, self._sidecar_file = _opened(self.app_log), _opened(self.sidecar_log)
        self._refusals: deque[str] = deque(maxlen=_REMEMBERED)
        self._copies = [
            LineCopy(self._writer(plan, stream.buffer, environment), _MAX_LINE) for stream in (sys.stdout, sys.stderr)
        ]

    @property
    def inlets(self) -> tuple[int, int]:
        """The ends for the sidecar's standard output and standard error."""
        return self._copies[0].inlet, self._copies[1].inlet

    @property
    def refusals(self) -> list[str]:
        """Why the sidecar did not start, as it says."""
        return list(self._refusals)

    def start(self) -> None:
        """Begin to copy, when the sidecar has been started."""
        for copy in self._copies:
            copy.start()

    def finish(self, seconds: float) -> None:
        """Wait at most that long for each of the last lines, and close the files."""
        for copy in self._copies:
            copy.finish(seconds)
        for file in (self._app_file, self._sidecar_file):
            if file is not None:
                file.close()

    def _writer(
        self, plan: AppPlan, console: BinaryIO, environment: Mapping[str, str]
    ) -> Callable[[Sequence[bytes]], None]:
        prefix = prefix_for(console, environment, f"APP - {plan.app_id}")
        app = Target(console if plan.app_destination != "file" else None, prefix, self._app_file)
        prefix = prefix_for(console, environment, f"SIDECAR - {plan.app_id}")
        sidecar = Target(console if plan.sidecar_destination != "file" else None, prefix, self._sidecar_file)

        def write(lines: Sequence[bytes]) -> None:
            for is_of_app, run in _runs(lines):
                (app if is_of_app else sidecar).write(run)
                self._refusals.extend(
                    line.removeprefix(b"pannier: ").decode("utf-8", "replace")
                    for line in run
                    if not is_of_app and line.startswith(b"pannier: ")
                )

        return write


def _runs(lines: Sequence[bytes]) -> list[tuple[bool, list[bytes]]]:
    """Return the lines without the app's prefix, those that follow one another together; True for those of the app."""
    runs: list[tuple[bool, list[bytes]]] = []
    for line in lines:
        is_of_app = line.startswith(APP_PREFIX)
        if not runs or runs[-1][0] != is_of_app:
            runs.append((is_of_app, []))
        runs[-1][1].append(line.removeprefix(APP_PREFIX) if is_of_app else line)
    return runs


def _log_of(plan: AppPlan, kind: str, destination: str, time: str) -> Path | None:
    return None if destination == "console" else plan.log(kind, time)


def _opened(path: Path | None) -> BinaryIO | None:
    """Open a log file, which only its owner can read, because an app may log secrets. Raises StartError."""
    if path is None:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StartError(f"the log {path} can't be written: {reason}; write 'console' as the destination") from None
    return open(descriptor, "wb", buffering=0)
