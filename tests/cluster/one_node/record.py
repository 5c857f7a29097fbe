"""Records which nodes run on this machine, and which were killed and left something behind."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "pannier-cluster-"
FILE = "record.json"
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Record:
    """The record of one node: its first process, and whether it stays when the program that started it ends."""

    pid: int
    started_at: int
    """When the process started, in the kernel's ticks since boot: together with the pid this identifies one process for
    ever.
    """
    stays: bool

    def is_alive(self) -> bool:
        return _start_of(self.pid) == self.started_at


def new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def write(folder: Path, pid: int, stays: bool) -> Record:
    record = Record(pid, _start_of(pid), stays)
    (folder / FILE).write_text(json.dumps(asdict(record)))
    return record


def read(folder: Path) -> Record | None:
    try:
        return Record(**json.loads((folder / FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def running_node() -> Path | None:
    """Return the folder of the node that `make cluster` started, if it runs."""
    for folder in _folders():
        record = read(folder)
        if record and record.stays and record.is_alive():
            return folder
    return None


def remove_leftovers() -> None:
    """Remove the folders and control groups of nodes whose processes are gone."""
    for folder in _folders():
        record = read(folder)
        if record and not record.is_alive():
            remove(folder)


def remove(folder: Path) -> None:
    """Remove what the kernel does not remove with a node's last process."""
    for root in cgroup_roots():
        group = root / folder.name
        # The files in groups cannot be removed: remove the folders, the deepest first.
        for path in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            with suppress(OSError):
                path.rmdir()
        with suppress(OSError):
            group.rmdir()
    shutil.rmtree(folder, ignore_errors=True)


def cgroup_roots() -> list[Path]:
    """Return the roots of the control groups: one with version 2, one for each controller with version 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]


def _folders() -> Iterator[Path]:
    return Path(tempfile.gettempdir()).glob(f"{PREFIX}*")


def _start_of(pid: int) -> int:
    """Return the kernel's time of a process's start, 0 if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])
