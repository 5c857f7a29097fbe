"""Which process is meant: its pid and when it started, because a pid is used again after its process has ended."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

_PROC: Final = Path("/proc")
_STATE: Final = 0
_START_TIME: Final = 19
"""Places in `/proc/PID/stat` after the program's name, which may hold spaces and brackets (proc(5))."""


class ProcessIdentity(Struct, frozen=True):
    """One process of this machine."""

    pid: int
    started: str
    """When it started: ticks since boot on Linux, elsewhere what `ps` prints. Empty if the process is unknown."""

    @property
    def is_running(self) -> bool:
        return bool(self.started) and self.started == start_time(self.pid)

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to this process, never to another one with the same pid; return whether it still ran.

        Raises PermissionError.
        """
        try:
            descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # no Linux, or the process has ended
            return self._send_to_pid(number)
        try:
            if not self.is_running:
                return False
            signal.pidfd_send_signal(descriptor, number)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)

    def _send_to_pid(self, number: signal.Signals) -> bool:
        if not self.is_running:
            return False
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
            return True
        return False


def identify(pid: int) -> ProcessIdentity:
    return ProcessIdentity(pid, start_time(pid))


def start_time(pid: int) -> str:
    """Return when that process started, in a form to be compared only; empty if it has ended."""
    if pid <= 0:
        return ""
    if not (_PROC / "self" / "stat").exists():
        return _start_time_by_ps(pid)
    try:
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[_STATE] in (b"Z", b"X") else fields[_START_TIME].decode()


def _start_time_by_ps(pid: int) -> str:
    """Ask `ps`, as macOS and the BSDs have no `/proc`."""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, timeout=5, check=True, env={**os.environ, "LC_ALL": "C"})
        return " ".join(done.stdout.decode("ascii", "replace").split())
    return ""


def this_machine() -> str:
    """Return a text that differs between machines, and between containers whose pids mean different processes."""
    try:
        pids = os.readlink(_PROC / "self" / "ns" / "pid")
    except OSError:
        pids = ""
    return f"{os.uname().nodename} {pids}".strip()


def this_boot() -> str:
    """Return a text that differs after each start of the machine; empty where `start_time` is a date."""
    with suppress(OSError):
        return (_PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
    return ""
