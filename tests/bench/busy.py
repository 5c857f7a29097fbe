"""Processes that never wait, one on each processor, as on a machine that also does other work."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SPIN = """
import os, sys
while os.getppid() == int(sys.argv[1]):  # it ends by itself where the benchmark was killed
    for _ in range(1_000_000):
        pass
"""


@contextmanager
def busy_processors() -> Iterator[int]:
    """Keep each processor that this process may use busy, at its own priority; yield the number of processors."""
    processors = sorted(os.sched_getaffinity(0))
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for processor in processors:
            process = subprocess.Popen([sys.executable, "-c", SPIN, str(os.getpid())])
            processes.append(process)
            os.sched_setaffinity(process.pid, {processor})
        yield len(processors)
    finally:
        for process in processes:
            process.kill()
            process.wait()
