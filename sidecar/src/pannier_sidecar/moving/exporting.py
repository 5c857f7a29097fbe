"""Exports a store into a file of JSON lines, which gets its name when it is complete."""

from __future__ import annotations

import fcntl
import glob
import os
import stat
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time
from typing import IO, TYPE_CHECKING, Final

from pannier_sidecar.moving.deciding import Verdict
from pannier_sidecar.moving.items import MoveError
from pannier_sidecar.moving.json_lines import InvalidLineError, item_of, line_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_sidecar.moving.progress import Progress
    from pannier_sidecar.moving.reading import Source
    from pannier_sidecar.moving.tally import Tally


_PARTIAL: Final = ".partial"


async def export(source: Source, file: IO[bytes], tally: Tally, progress: Progress) -> None:
    """Write a line for each item, counting in `tally`. Raises StoreUnavailableError and OSError."""
    progress.begin("exporting", source.total)
    async for batch in source.batches():
        now = time()
        for item in batch.items:
            if item.has_expired(now):
                tally.count(Verdict.EXPIRED, 0)
                continue
            file.write(line_of(item))
            tally.count(Verdict.CREATE, len(item.value))
        for unread in batch.unread:
            progress.say(f"unreadable: {unread.where}: {unread.why}")
        tally.unread += len(batch.unread)
        tally.gone += batch.gone
        progress.show(tally.done)
    file.flush()
    progress.end()


def verify(file: IO[bytes], tally: Tally) -> None:
    """Read the lines again and compare their number and the bytes of their values with what was exported."""
    file.seek(0)
    for line in file:
        with suppress(InvalidLineError):
            tally.verified_bytes += len(item_of(line).value)
            tally.verified += 1
    tally.differing = tally.verdicts[Verdict.CREATE] - tally.verified
    if tally.verified_bytes != tally.bytes_written:
        tally.differing = max(1, tally.differing)
    tally.is_verified = True


def standard_output() -> IO[bytes]:
    """Return standard output with a separate buffer, so that bytes that a full disk refused are not written again at
    exit.
    """
    return open(sys.stdout.fileno(), "wb", closefd=False)


def file_for(path: Path, *, overwrites: bool) -> Path:
    """Return the path of the file to export to, with links resolved, so that the links stay. Raises MoveError.

    Only files are replaced: replacing a device or a pipe would break other programs that use it.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return target
    except OSError as error:
        raise MoveError(f"{path} can't be written: {(error.strerror or str(error)).lower()}") from error
    if stat.S_ISDIR(mode):
        raise MoveError(f"{path} is a folder; name a file in it with --output")
    if stat.S_ISSOCK(mode):
        raise MoveError(f"{path} is a socket; name a file with --output")
    if not stat.S_ISREG(mode):
        what = "a pipe" if stat.S_ISFIFO(mode) else "a device"
        raise MoveError(f"{path} is {what}, not a file; leave --output out and write > {path}")
    if not overwrites:
        raise MoveError(f"{path} exists; name another file with --output, or add --overwrite")
    return target


@contextmanager
def becoming(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file that gets the name `path` if the block succeeds, and is deleted if it does not.

    Only its owner can read it, because state may be secret. A killed process leaves nothing behind: the file has no
    name until it is complete. Raises MoveError.
    """
    try:
        _remove_left_behind(path)
        with _nameless(path) as (file, name):
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(name or _named(file, path), path)
    except OSError as error:
        raise MoveError(f"{path} can't be written: {(error.strerror or str(error)).lower()}") from error


@contextmanager
def _nameless(path: Path) -> Iterator[tuple[IO[bytes], str | None]]:
    """Yield a file without a name, and None; if the file system has no such files, a file and its name."""
    flags = getattr(os, "O_TMPFILE", 0)
    try:
        number = os.open(path.parent, flags | os.O_RDWR | os.O_CLOEXEC, 0o600) if flags else -1
    except OSError:
        number = -1
    if number >= 0:
        with open(number, "w+b") as file:
            yield file, None
        return
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_PARTIAL, dir=path.parent)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)  # held until the process ends
        with open(number, "w+b") as file:
            yield file, name
    finally:
        Path(name).unlink(missing_ok=True)


def _named(file: IO[bytes], path: Path) -> Path:
    """Give the file a temporary name, which is replaced by the final one."""
    name = path.parent / f".{path.name}.{os.getpid()}{_PARTIAL}"
    name.unlink(missing_ok=True)
    number = file.fileno()
    # `src_dir_fd` has no meaning for an absolute path, but without it `os.link` does not follow the link in /proc.
    os.link(f"/proc/self/fd/{number}", name, src_dir_fd=number, follow_symlinks=True)
    return name


def _remove_left_behind(path: Path) -> None:
    """Remove what a killed export to the same file left, if the file system has no files without names."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*{_PARTIAL}"):
        with suppress(OSError), open(left, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # another export may be writing it
            left.unlink()
