"""From a store into a file of JSON lines, which takes its name when all of it is there."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time
from typing import IO, TYPE_CHECKING

from pannier_sidecar.moving.deciding import Verdict
from pannier_sidecar.moving.items import CannotMove
from pannier_sidecar.moving.json_lines import BrokenLine, item_of, line_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_sidecar.moving.progress import Progress
    from pannier_sidecar.moving.reading import Source
    from pannier_sidecar.moving.tally import Tally


async def export(source: Source, file: IO[bytes], tally: Tally, progress: Progress) -> None:
    """Write a line for each item, counting in `tally`. Raises StoreUnavailable and OSError."""
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
        with suppress(BrokenLine):
            tally.verified_bytes += len(item_of(line).value)
            tally.verified += 1
    tally.differing = tally.verdicts[Verdict.CREATE] - tally.verified
    if tally.verified_bytes != tally.bytes_written:
        tally.differing = max(1, tally.differing)
    tally.is_verified = True


def standard_output() -> IO[bytes]:
    """Return standard output with a buffer of its own: what a full disk refused is not tried again at the exit."""
    return open(sys.stdout.fileno(), "wb", closefd=False)


@contextmanager
def becoming(path: Path) -> Iterator[IO[bytes]]:
    """Give a file that bears the name of `path` when the block ends well, and is gone when it does not.

    Only its owner can read it, because state may be secret. Raises CannotMove.
    """
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise CannotMove(f"{path} can't be written: {(error.strerror or str(error)).lower()}") from error
    try:
        with open(number, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except OSError as error:
        raise CannotMove(f"{path} can't be written: {(error.strerror or str(error)).lower()}") from error
    finally:
        Path(name).unlink(missing_ok=True)
