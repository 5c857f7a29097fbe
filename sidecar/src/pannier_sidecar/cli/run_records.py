"""What runs on this machine: each `pannier run` writes a file of its own, which `list` and `stop` read.

The folder belongs to the user, and only the user can read it. A file's name has the pid and the start time of its
process, so a file that a killed process left behind is never taken for another process, and whoever finds it may remove
it. A file is replaced as a whole, so no reader sees a part of it.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from pannier_sidecar.cli.process_identity import ProcessIdentity, identify, this_boot, this_machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAX_BYTES: Final = 256 * 1024
_STOPPING: Final = ".stopping"
_NAME: Final = re.compile(r"(\d+)-[\w-]+\.json", re.ASCII)


class RecordsError(Exception):
    """The folder can't be used; the text is one line for the user."""


class RunRecord(Struct, rename="camel", omit_defaults=True):
    """What one process serves. Everything but `list` and `stop` ignores it."""

    process: ProcessIdentity
    machine: str
    boot: str
    created: float
    """Seconds since 1970."""
    app_id: str = ""
    """Empty for the runner of a run file, which serves nothing itself."""
    http_port: int = 0
    grpc_port: int = 0
    app_port: int = 0
    unix_socket: str = ""
    serves_metrics: bool = False
    command: str = ""
    """The app's, as a shell would read it; cut off if it is long."""
    app_pid: int = 0
    runner: ProcessIdentity | None = None
    """The process that a user started: None if it is this process."""
    run_file: str = ""
    """The absolute path of the run file."""
    run_name: str = ""
    app_log: str = ""
    sidecar_log: str = ""
    max_body_size: int = 0
    read_buffer_size: int = 0

    @property
    def is_here(self) -> bool:
        """Whether its pid means a process of this machine or container."""
        return self.machine == this_machine()

    @property
    def is_running(self) -> bool:
        return self.is_here and self.boot == this_boot() and self.process.is_running


def new_record(created: float) -> RunRecord:
    """Return a record of this process; `created` is the time in seconds since 1970."""
    return RunRecord(identify(os.getpid()), this_machine(), this_boot(), created)


class RunRecords:
    """The folder of the records."""

    def __init__(self, folder: Path):
        self._folder = folder

    def write(self, record: RunRecord) -> None:
        """Write or replace a record. Raises RecordsError."""
        path = self._path(record)
        new = path.with_suffix(".new")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_owner()
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(new, flags, 0o600), "wb") as file:
                file.write(msgspec.json.encode(record))
            new.replace(path)
        except OSError as error:
            raise RecordsError(f"{path}: {(error.strerror or str(error)).lower()}") from None

    def remove(self, record: RunRecord) -> None:
        """Remove a record, and what belongs to it, if it is there."""
        for ending in (".json", ".new", _STOPPING):
            with suppress(OSError):
                self._path(record).with_suffix(ending).unlink()

    def mark_stopping(self, record: RunRecord) -> bool:
        """Note that a process is being stopped; return False if that was noted before.

        So only one of several `pannier stop` sends the first signal: an app is killed at the second.
        """
        try:
            os.close(os.open(self._path(record).with_suffix(_STOPPING), os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            return False
        except OSError:  # such as a full disk, which must not keep anything from being stopped
            return True
        return True

    def running(self) -> list[RunRecord]:
        """Return the records of processes that run, in the order of their start; remove those of ended processes.

        Raises RecordsError.
        """
        found = []
        for record in self._all():
            if record.is_running:
                found.append(record)
            elif record.is_here:
                self.remove(record)
        return sorted(found, key=lambda record: record.created)

    def _all(self) -> Iterator[RunRecord]:
        try:
            self._check_owner()
            names = sorted(path.name for path in self._folder.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise RecordsError(f"{self._folder}: {(error.strerror or str(error)).lower()}") from None
        for name in names:
            record = _read(self._folder / name) if _NAME.fullmatch(name) else None
            if record is not None and self._path(record).name == name:
                yield record

    def _check_owner(self) -> None:
        """Raise RecordsError if others could write into the folder: a forged record could name any process."""
        found = self._folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise RecordsError(f"{self._folder} must be a folder that only you can write to; remove it")

    def _path(self, record: RunRecord) -> Path:
        started = re.sub(r"\W+", "-", record.process.started)
        return self._folder / f"{record.process.pid}-{started}.json"


def _read(path: Path) -> RunRecord | None:
    """Return the record in a file; None if it has just been removed or is not one of ours."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            return msgspec.json.decode(file.read(_MAX_BYTES), type=RunRecord)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None


def records_of(data_folder: Path | None) -> RunRecords:
    """Return the user's records. Raises RecordsError if the user has no data folder."""
    if data_folder is None:
        raise RecordsError("neither HOME nor XDG_DATA_HOME says where your data folder is; set one of them")
    return RunRecords(data_folder / "running")
