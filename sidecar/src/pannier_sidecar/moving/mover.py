"""Moves one app's state: locates, checks and opens the places, does the work, and reports the outcome."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from pannier_sidecar.large_values.part_store import parts_of
from pannier_sidecar.loading.resolving import ResolutionContext
from pannier_sidecar.moving import opening
from pannier_sidecar.moving.copying import copy
from pannier_sidecar.moving.exporting import becoming, export, file_for, standard_output, verify
from pannier_sidecar.moving.items import MoveError
from pannier_sidecar.moving.journal import Journal
from pannier_sidecar.moving.key_list import KeyList
from pannier_sidecar.moving.locating import locate, place_of
from pannier_sidecar.moving.reading import LinesSource, Source, StoreSource
from pannier_sidecar.moving.reencrypting import Reencryption
from pannier_sidecar.moving.tally import Tally
from pannier_sidecar.moving.writing import StoreTarget

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pannier_sidecar.loading.plans import DesiredStore
    from pannier_sidecar.moving.progress import Progress
    from pannier_sidecar.settings import Settings


@dataclass(frozen=True)
class Order:
    """What the user asked for."""

    source: str = ""
    """`FILE` or `FILE#NAME`: the component of the source."""
    target: str = ""
    """The component of the target."""
    output: Path | None = None
    """The file to export to; None: standard output."""
    component: str = ""
    """The component whose values are encrypted again."""
    overwrites: bool = False
    """Whether existing values are replaced."""
    journal: Path | None = None
    """Where to note what was written; None: in the data folder."""


class Mover:
    """Carries out one order for one app. Its methods raise MoveError, StoreError and OSError."""

    def __init__(self, order: Order, settings: Settings, progress: Progress):
        self._order = order
        self._settings = settings
        self._context = ResolutionContext.of(settings)
        self._tally = Tally()
        self._progress = progress
        self._reencryption: Reencryption | None = None

    async def copy(self) -> int:
        """Copy from store to store; return the exit code."""
        source = locate(self._order.source, self._context, keys_as_written=True)
        # Where both stores separate keys by dashes, an actor's keys look like the app's own and are copied as such.
        as_written = not source.keys.distinguishes_actors
        target = locate(self._order.target, self._context, keys_as_written=as_written)
        opening.check_places(source, target)
        opening.check_actors(source, target)
        async with AsyncExitStack() as stack:
            return await self._copy(await self._listed(source, stack), target, stack)

    async def take_lines(self, file: IO[bytes]) -> int:
        """Import lines, which are read twice; return the exit code."""
        target = locate(self._order.target, self._context)
        async with AsyncExitStack() as stack:
            lines = LinesSource(file, stack.enter_context(KeyList()))
            return await self._copy(lines, target, stack)

    async def write_lines(self) -> int:
        """Export to the file or to standard output; return the exit code."""
        source = locate(self._order.source, self._context, keys_as_written=True)
        opening.check_actors(source, None)
        path = self._order.output
        if path is not None:
            path = file_for(path, overwrites=self._order.overwrites)
        async with AsyncExitStack() as stack:
            items = await self._listed(source, stack)
            if path is None:
                with standard_output() as lines:
                    await export(items, lines, self._tally, self._progress)
                return self._conclude(sys.stderr)
            with becoming(path) as file:
                await export(items, file, self._tally, self._progress)
                verify(file, self._tally)
        return self._conclude(sys.stdout)

    async def reencrypt(self) -> int:
        """Encrypt the app's values again with the primary key; return the exit code."""
        desired = locate(self._order.component, self._context, keys_as_written=True)
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(opening.opened(desired))
            encrypted = opening.check_encryption(desired, store)
            app_id = self._settings.app.id
            parts = parts_of(store)
            root = None if parts is None else parts.part_keys.root
            work = self._reencryption = Reencryption(encrypted, desired.keys, app_id, self._progress, root)
            await work.run()
            _write(work.lines(), sys.stdout)
            return 0 if work.is_whole else 1

    def report_progress(self) -> None:
        """Write the summary of a move that ends early."""
        self._progress.end()
        if self._reencryption is not None:
            _write(self._reencryption.lines(), sys.stderr)
        elif self._tally.done:
            _write(self._tally.lines(), sys.stderr)

    async def _listed(self, desired: DesiredStore, stack: AsyncExitStack) -> StoreSource:
        store = await stack.enter_async_context(opening.opened(desired))
        opening.check_source(desired, store)
        source = StoreSource(store, desired.keys, stack.enter_context(KeyList()))
        await source.list_keys()
        self._tally.passed_over = source.passed_over
        if not source.total:
            app_id = self._settings.app.id
            self._progress.say(f"{desired.name} holds no key of app '{app_id}'; name the app with --app-id")
        return source

    async def _copy(self, source: Source, target: DesiredStore, stack: AsyncExitStack) -> int:
        store = await stack.enter_async_context(opening.opened(target))
        limits = opening.limits_of(target, store, overwrites=self._order.overwrites)
        journal = stack.enter_context(Journal(self._journal_file(), place_of(target)))
        await copy(source, StoreTarget(store, target.keys, journal, limits), self._tally, self._progress)
        return self._conclude(sys.stdout)

    def _journal_file(self) -> Path:
        folder = self._settings.place.data_folder
        if self._order.journal is not None:
            return self._order.journal
        if folder is None:
            raise MoveError("there is no home folder to keep the journal in; name a file with --journal")
        return folder / "moved.db"

    def _conclude(self, stream: IO[str]) -> int:
        _write(self._tally.lines(), stream)
        return 0 if self._tally.is_whole else 1


def _write(lines: Iterable[str], stream: IO[str]) -> None:
    stream.writelines(line + "\n" for line in lines)
    stream.flush()
