"""`pannier copy`, `export` and `import`: an app's state from store to store, into a file and out of it; and
`reencrypt`: under another key.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final

from pannier_sidecar import __version__
from pannier_sidecar.cli import starting
from pannier_sidecar.cli.flags import APP_ID, COMPONENT, COPY, EXPORT, FROM, IMPORT, REENCRYPT, TO
from pannier_sidecar.cli.parsing import UsageError, parse_with_paths
from pannier_sidecar.moving.items import MoveError
from pannier_sidecar.moving.mover import Mover, Order
from pannier_sidecar.moving.progress import Progress
from pannier_sidecar.observing import logs
from pannier_sidecar.settings import RUN_DEFAULTS, Settings, SettingsError, check, from_environment
from pannier_sidecar.state.errors import StoreError

if TYPE_CHECKING:
    import signal
    from collections.abc import Coroutine, Iterator, Mapping, Sequence

FLAGS: Final = {"copy": COPY, "export": EXPORT, "import": IMPORT, "reencrypt": REENCRYPT}
GO_ON: Final = "run the same command again: it continues where this one ended"


def move(verb: str, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Do `copy`, `export`, `import` or `reencrypt`; return 0 if everything has been done, else 1."""
    parsed, paths = parse_with_paths(arguments, FLAGS[verb])
    given = parsed.changes
    for flag in FLAGS[verb]:
        if flag in (FROM, TO, COMPONENT) and flag.setting not in given:
            other = "; from Layotto: pannier import layotto CONFIG.json" if verb == "import" else ""
            raise UsageError(f"--{flag.name} is missing: write --{flag.name} with the file of a component{other}")
    if len(paths) > (verb == "import"):
        raise UsageError(f"unexpected {paths[-1]!r}; 'pannier help {verb}' shows its arguments")
    settings = _settings(environment, given.pop(APP_ID.setting, None))
    logs.set_up("warn", as_json=False, app_id=settings.app.id, version=__version__)
    mover = Mover(Order(**given), settings, Progress(sys.stderr, environment))
    try:
        return _moved(verb, mover, paths)
    except BrokenPipeError:
        raise
    except MoveError as error:
        return _failed(mover, str(error))
    except StoreError as error:
        return _failed(mover, f"ended early: {error}; {GO_ON}")
    except OSError as error:
        return _failed(mover, f"ended early: {(error.strerror or str(error)).lower()}; {GO_ON}")


def _moved(verb: str, mover: Mover, paths: Sequence[str]) -> int:
    if verb == "import":
        with _lines(paths[0] if paths else "-") as file:
            return _run(mover.take_lines(file), mover)
    works = {"copy": mover.copy, "export": mover.write_lines, "reencrypt": mover.reencrypt}
    return _run(works[verb](), mover)


def _run(work: Coroutine[Any, Any, int], mover: Mover) -> int:
    return asyncio.run(_interruptible(work, mover))


async def _interruptible(work: Coroutine[Any, Any, int], mover: Mover) -> int:
    """Run the work and return the exit code. The first signal ends it cleanly, a second one at once."""
    task = asyncio.ensure_future(work)
    received: list[int] = []

    def stop(number: signal.Signals) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)
        task.cancel()

    starting.on_signals(stop)
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        _failed(mover, f"interrupted; {GO_ON}")
        return 128 + received[0]


def _failed(mover: Mover, why: str) -> int:
    mover.report_progress()
    for line in why.splitlines():
        print(f"pannier: {line}", file=sys.stderr)
    return 1


def _settings(environment: Mapping[str, str], app_id: str | None) -> Settings:
    settings = from_environment(environment, {"app.id": RUN_DEFAULTS["app.id"]})
    if app_id is not None:
        settings = settings.changed({"app.id": app_id})
    try:
        check(settings, is_new=False)
    except SettingsError as error:
        raise UsageError(str(error)) from None
    return settings


@contextmanager
def _lines(name: str) -> Iterator[IO[bytes]]:
    """Open the lines to import. They are read twice, so a pipe is copied to a temporary file first. Raises
    MoveError.
    """
    try:
        file = sys.stdin.buffer if name == "-" else open(name, "rb")
    except OSError as error:
        raise MoveError(f"{name} can't be read: {(error.strerror or str(error)).lower()}") from error
    with file:
        if file.seekable():
            yield file
            return
        with tempfile.TemporaryFile() as kept:
            shutil.copyfileobj(file, kept)
            yield kept
