"""A control group of the kernel that limits the memory of a process, as a container's does (cgroups(7))."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_VERSION_1 = Path("/sys/fs/cgroup/memory")
_VERSION_2 = Path("/sys/fs/cgroup")


class MemoryGroup:
    """The group, which is empty at first."""

    def __init__(self, path: Path, limit_file: str):
        self._path = path
        self._limit_file = limit_file

    @property
    def through(self) -> tuple[str, ...]:
        """The beginning of a command that runs the rest of it in this group."""
        return "sh", "-c", f'echo $$ > {self._path}/cgroup.procs && exec "$@"', "sh"

    def limit(self, mib: int) -> None:
        (self._path / self._limit_file).write_text(str(mib * 1024 * 1024))


@contextmanager
def memory_group(mib: int) -> Iterator[MemoryGroup]:
    """Make a group with this limit, and remove it at the end, when its processes have ended."""
    is_second = (_VERSION_2 / "cgroup.controllers").exists()
    path = (_VERSION_2 if is_second else _VERSION_1) / f"pannier-test-{os.getpid()}"
    try:
        path.mkdir()
        group = MemoryGroup(path, "memory.max" if is_second else "memory.limit_in_bytes")
        group.limit(mib)
    except OSError as error:
        with suppress(OSError):
            path.rmdir()
        pytest.skip(f"no control group can be made here, which takes root: {error}")
    try:
        yield group
    finally:
        for _ in range(500):
            try:
                path.rmdir()
                break
            except OSError:  # a process that was killed is still being removed
                time.sleep(0.01)
