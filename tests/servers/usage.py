"""What a process uses: memory and processor time, as the kernel counts them."""

from __future__ import annotations

import os
from pathlib import Path

MIB = 1024 * 1024


def resident_mib(pid: int) -> float:
    """Memory that is resident now."""
    return _status(pid, "VmRSS") / 1024


def peak_mib(pid: int) -> float:
    """The most that was resident since `forget_peak`."""
    return _status(pid, "VmHWM") / 1024


def forget_peak(pid: int) -> None:
    """Measure the peak from here on (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def cpu_seconds(pid: int) -> float:
    """Processor time spent so far, by all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise LookupError(name)
