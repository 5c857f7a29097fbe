"""How much memory this process may use, as its control groups say (cgroups(7)): in a pod, the container's limit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNLIMITED: Final = 2**60
"""Version 1 writes a number like this one for "no limit"."""


def memory_limit(root: Path = Path("/")) -> int | None:
    """Return the smallest limit in bytes of the process's groups; None if there is none, or it is not known.

    `root` is another root of the file system, for tests.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    limits = [limit for line in groups for file in _files(line, root) if (limit := _limit_in(file)) is not None]
    return min(limits, default=None)


def _files(line: str, root: Path) -> Iterator[Path]:
    """Yield the files that may hold a limit of the group in a line such as `0::/pod/container`, and of those around it.

    Within a container, the path may be that on the host, while the container's own group is mounted at the top.
    """
    _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
    if controllers == "":  # version 2
        top, name = root / "sys/fs/cgroup", "memory.max"
    elif "memory" in controllers.split(","):
        top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
    else:
        return
    inner = Path(path.lstrip("/"))
    for group in (inner, *inner.parents):
        if ".." not in group.parts:
            yield top / group / name


def _limit_in(file: Path) -> int | None:
    try:
        limit = int(file.read_text("ascii"))
    except (OSError, ValueError):  # `max`: no limit
        return None
    return limit if 0 < limit < _UNLIMITED else None
