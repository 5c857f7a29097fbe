"""What a process uses: memory and processor time, as the kernel counts them."""

from __future__ import annotations

import time
from pathlib import Path

MIB = 1024 * 1024
CPU_OF_PROCESS = 2
"""The id of a process's clock, as clock_getcpuclockid(3) returns it, which Python does not have."""


def resident_mib(pid: int) -> float:
    """Memory that is resident now."""
    return _status(pid, "VmRSS") / 1024


def private_mib(pid: int) -> float:
    """Memory that is resident now and that no other process can share: what each further sidecar on a node takes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (kib,) = (int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:"))
    return kib / 1024


def peak_mib(pid: int) -> float:
    """The maximum of resident memory since `forget_peak`."""
    return _status(pid, "VmHWM") / 1024


def forget_peak(pid: int) -> None:
    """Measure the peak from here on (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def cpu_seconds(pid: int) -> float:
    """Processor time spent so far, by all threads, to the microsecond."""
    return time.clock_gettime((~pid << 3) | CPU_OF_PROCESS)


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise LookupError(name)
