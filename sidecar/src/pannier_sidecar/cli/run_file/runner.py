"""Starts the apps of a run file one after the other, and ends them all.

Each app has a process of its own, which is its sidecar and starts it as `pannier run` does. The runner sends these
processes what to run, and writes their output where the run file says.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from pannier_crds.nodes import MAX_BYTES
from pannier_sidecar.cli import starting
from pannier_sidecar.cli.flags import RUN
from pannier_sidecar.cli.parsing import UsageError, parse
from pannier_sidecar.cli.process_identity import identify
from pannier_sidecar.cli.run_file.app_run import AppRun, NotStartedError
from pannier_sidecar.cli.run_file.fields import BY_NAME, FLAGS
from pannier_sidecar.cli.run_file.planning import plan
from pannier_sidecar.cli.run_file.reading import read
from pannier_sidecar.cli.run_records import RecordsError, new_record, records_of
from pannier_sidecar.cli.stopping import run_file_at
from pannier_sidecar.settings import from_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pannier_sidecar.cli.run_file.planning import Plan
    from pannier_sidecar.cli.run_records import RunRecord, RunRecords

_STEPS: Final = ((signal.SIGTERM, 15.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
"""Signals with which the runner ends the apps itself, and the seconds to wait after each."""


def run_apps(path: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the apps of a run file until all have ended. Raises UsageError.

    Returns 0 if all ended well or were asked to end, else 1.
    """
    flags = _flags_for_all(arguments)
    file = run_file_at(path)
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_BYTES + 1)
    except OSError as error:
        print(f"pannier: {file}: {(error.strerror or str(error)).lower()}; name a run file by -f", file=sys.stderr)
        return 1
    run_file, problems = read(text)
    if run_file is not None:
        home = environment.get("HOME")
        planned = plan(run_file, file.parent, Path(home) if home else None)
        problems += planned.problems
    if run_file is None or problems:
        for problem in sorted(problems, key=lambda problem: problem.line or 0):
            print(f"pannier: {file}:{problem.line or 1}: {problem}", file=sys.stderr)
        return 1
    if planned.without_effect:
        print(f"fields that have no effect here: {', '.join(planned.without_effect)}", flush=True)
    runner = Runner(file, run_file.name, planned, flags, environment)
    with asyncio.Runner() as loop:
        return loop.run(runner.run())


def _flags_for_all(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the flags beside `-f`, which every sidecar gets. Raises UsageError for those that a field sets."""
    if parse(arguments, RUN).command:
        raise UsageError("-f takes the commands from the run file; remove what comes after ' -- '")
    fields = {FLAGS[field.flag].name: field.name for field in BY_NAME.values() if field.flag}
    fields["components"] = "resourcesPaths"
    words, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        name, has_value, _ = word.lstrip("-").partition("=")
        flag = next(flag for flag in RUN if name in flag.names)
        value = [] if has_value or flag.is_boolean else [rest.pop(0)]
        if flag.name in fields:
            raise UsageError(f"--{name} can't be used beside -f; write {fields[flag.name]} in the run file")
        if flag.name != "run-file":
            words += [word, *value]
    return tuple(words)


class Runner:
    """The apps of one run file."""

    def __init__(self, file: Path, name: str, planned: Plan, flags: Sequence[str], environment: Mapping[str, str]):
        self._file, self._name = file, name
        self._planned, self._flags, self._environment = planned, flags, environment
        self._runs: list[AppRun] = []
        self._is_asked = False
        self._records: RunRecords | None = None
        self._record: RunRecord = replace(new_record(time.time()), run_file=str(file), run_name=name)

    async def run(self) -> int:
        """Return the exit code."""
        starting.on_signals(self._on_signal)
        self._announce()
        try:
            return await self._start_and_wait()
        finally:
            if self._records is not None:
                self._records.remove(self._record)

    async def _start_and_wait(self) -> int:
        try:
            await self._start_all()
        except (NotStartedError, starting.StartError) as error:
            if not self._is_asked:
                for line in str(error).splitlines():
                    print(f"pannier: {line}", file=sys.stderr)
                await self._end_all()
                return 1
        codes = await asyncio.gather(*(self._wait(run) for run in self._runs))
        return 0 if self._is_asked or not any(codes) else 1

    async def _start_all(self) -> None:
        """Start each app when the one before it has started. Raises NotStartedError and StartError."""
        runner = identify(os.getpid())
        stamp = time.strftime("%Y%m%d%H%M%S")
        for planned in self._planned.apps:
            if self._is_asked:
                return
            run = AppRun(planned, stamp, self._environment)
            self._runs.append(run)
            await run.start(self._flags, runner, str(self._file), self._name)
            if self._is_asked:  # before there was a process that could get the signal
                run.send(signal.SIGTERM)
            record = await run.started()
            where = f"http://127.0.0.1:{record.http_port}" if record.http_port else record.unix_socket
            print(f"app '{planned.app_id}' has started; its sidecar is at {where}{run.logs()}", flush=True)

    async def _wait(self, run: AppRun) -> int:
        code = await run.wait()
        others = any(other.is_running for other in self._runs)
        remark = "; the others go on" if others and not self._is_asked else ""
        how = f"by signal {code - 128}" if code > 128 else f"with exit code {code}"
        print(f"app '{run.app_id}' has ended {how}{remark}", flush=True)
        return code

    async def _end_all(self) -> None:
        for number, patience in _STEPS:
            running = [run for run in self._runs if run.is_running]
            for run in running:
                run.send(number)
            if running:
                await asyncio.wait([asyncio.create_task(run.wait()) for run in running], timeout=patience)

    def _on_signal(self, number: signal.Signals) -> None:
        """Pass a signal on; the process of each app does what `pannier run` does at the signal."""
        self._is_asked = True
        for run in self._runs:
            run.send(number)

    def _announce(self) -> None:
        try:
            self._records = records_of(from_environment(self._environment).place.data_folder)
            self._records.write(self._record)
        except RecordsError as error:
            self._records = None
            print(f"pannier: 'pannier list' and 'pannier stop' won't find these apps: {error}", file=sys.stderr)
