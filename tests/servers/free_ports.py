"""Ports of the loopback interface that nobody takes between the moment they are found free and that of being used.

A port that the kernel gives may be given again before a server listens at it, to a client even, and a server that is
down for a while may find it taken. So these lie below the kernel's, and each process of the tests has a block of its
own, which is locked as long as the process lives.
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
"""Of five digits, as those of the kernel are: a port may be replaced in a text without changing its length."""
END = 30_000
"""Here Kubernetes' node ports begin."""
BLOCK = 250
KERNEL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return a port at which nobody listens: the next one of this process's block."""
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
