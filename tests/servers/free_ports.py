"""Ports of the loopback interface that nobody can take between being found free and being used.

A port that the kernel gives may be given again before a server listens on it, even to a client, and a server that is
down for a while may find its port taken. So these ports are below the kernel's range, and each process of the tests has
its own block, which is locked as long as the process lives.
"""

from __future__ import annotations

import fcntl
import socket
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import cycle, islice
from pathlib import Path

FIRST = 12_000
"""Ports of five digits, like the kernel's: a port may be replaced in a text without changing its length."""
END = 30_000
"""The first of Kubernetes' node ports."""
BLOCK = 250
KERNEL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return a port on which nobody listens: the next one of this process's block."""
    for port in islice(_block(), BLOCK):
        if _is_free(port):
            return port
    return _from_kernel()


@cache
def _block() -> Iterator[int]:
    folder = Path(tempfile.gettempdir()) / "pannier-test-ports"
    folder.mkdir(exist_ok=True)
    for first in range(FIRST, _end() - BLOCK + 1, BLOCK):
        try:
            lock = (folder / str(first)).open("ab")
        except PermissionError:  # another user's
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _locks.append(lock)
        return cycle(range(first, first + BLOCK))
    return iter(())


_locks: list[object] = []
"""Open as long as the process lives."""


def _end() -> int:
    try:
        return min(END, int(KERNEL_RANGE.read_text().split()[0]))
    except OSError:
        return END


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _from_kernel() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
