"""What the operating system reports about a process: CPU time and memory (Linux)."""

import time
from pathlib import Path
from typing import NamedTuple

SCHED_CLOCK = 2
USER_TICKS, SYSTEM_TICKS = 11, 12
"""Places in /proc/PID/stat behind the name (proc(5): fields 14 and 15)."""


class Memory(NamedTuple):
    """Resident and proportional set size in bytes; pages shared by n processes count 1/n in `pss`."""

    rss: int
    pss: int


class Cpu(NamedTuple):
    """The processor time that a process has used so far."""

    seconds: float
    """User and system, to the nanosecond."""
    user_ticks: int
    """How often the kernel's timer found it in user mode, a hundred times a second."""
    system_ticks: int

    def since(self, before: "Cpu") -> tuple[float, float]:
        """Return the seconds in user mode and in the kernel. The two shares come from ticks, so they are rough."""
        seconds = self.seconds - before.seconds
        user, system = self.user_ticks - before.user_ticks, self.system_ticks - before.system_ticks
        in_kernel = seconds * system / (user + system or 1)
        return seconds - in_kernel, in_kernel


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, that the process has used so far, to the nanosecond.

    The clock of another process has the id that clock_getcpuclockid(3) makes. Raises OSError if the process is gone.
    """
    return time.clock_gettime((~pid << 3) | SCHED_CLOCK)


def cpu(pid: int) -> Cpu:
    """Return the CPU time that the process has used so far. Raises OSError if the process is gone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Cpu(cpu_seconds(pid), int(fields[USER_TICKS]), int(fields[SYSTEM_TICKS]))


def memory(pid: int) -> Memory:
    """Return what the process holds now. Raises OSError for a process that is gone."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, amount = line.split()[:2]
        fields[name] = int(amount) * 1024
    return Memory(fields["Rss:"], fields["Pss:"])
