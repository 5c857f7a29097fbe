"""What the operating system says of a process: CPU time and memory (Linux)."""

import time
from pathlib import Path
from typing import NamedTuple

SCHED_CLOCK = 2


class Memory(NamedTuple):
    """Resident and proportional set size in bytes; pages shared by n processes count 1/n in `pss`."""

    rss: int
    pss: int


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, that the process has used so far, to the nanosecond.

    The clock of another process has the id that clock_getcpuclockid(3) makes. Raises OSError if the process is gone.
    """
    return time.clock_gettime((~pid << 3) | SCHED_CLOCK)


def memory(pid: int) -> Memory:
    """Return what the process holds now. Raises OSError for a process that is gone."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, amount = line.split()[:2]
        fields[name] = int(amount) * 1024
    return Memory(fields["Rss:"], fields["Pss:"])
