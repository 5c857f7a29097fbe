"""Servers that tests run as processes: on a free port of the loopback interface, ended by their own pid."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from servers.free_ports import free_port as free_port

START_LIMIT_S = 120.0


def wait_until(
    is_so: Callable[[], object], what: str, limit_s: float = START_LIMIT_S, not_yet: tuple[type[Exception], ...] = ()
) -> None:
    """Wait until `is_so` returns true; an OSError, or an error in `not_yet`, means that it is not so yet."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            if is_so():
                return
        except (OSError, *not_yet):
            pass
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(0.02)


def suspend(pid: int) -> None:
    """Stop a process, and wait until all its threads have stopped: after the signal, running threads continue for a
    moment.
    """
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: all(map(_is_stopped, Path(f"/proc/{pid}/task").iterdir())), f"process {pid} is stopped")


def _is_stopped(thread: Path) -> bool:
    state = (thread / "stat").read_text().rpartition(")")[2].split()[0]
    return state in "TtZX"


class ServerProcess(ABC):
    """A server that can be killed, stopped, paused, continued, and started again on its port with its data."""

    not_yet: tuple[type[Exception], ...] = ()
    """What `answers` may raise while the server starts, beside OSError."""
    stop_limit_s = 30.0

    def __init__(self, folder: Path, port: int | None = None):
        """Start it. `folder` is its own: its data and what it logs (`log`) are there."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """Return the command line."""

    @abstractmethod
    def answers(self) -> object:
        """Return something true if a client is served."""

    def environment(self) -> Mapping[str, str]:
        """Return what the process has in its environment."""
        return os.environ

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*map(str, self.command())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**self.environment()},
            )
        try:
            wait_until(self._is_up, f"{type(self).__name__} on port {self.port} answers", not_yet=self.not_yet)
        except BaseException:
            self.kill()
            raise

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        return bool(self.answers())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End it for good."""
        self.stop()

    def kill(self) -> None:
        """Send SIGKILL, so that nothing is written or closed."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(how)
        try:
            self._process.wait(self.stop_limit_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def pause(self) -> None:
        suspend(self.pid)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
