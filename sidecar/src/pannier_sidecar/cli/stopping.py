"""`pannier stop`: ends apps and their sidecars that `pannier run` has started, and waits until they have ended.

A process is signalled only while it is the one that wrote the record, so never another with the same pid.
"""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING, Final

from pannier_sidecar.cli.flags import STOP
from pannier_sidecar.cli.parsing import UsageError, parse_with_paths
from pannier_sidecar.cli.run_records import RecordsError, records_of
from pannier_sidecar.settings import from_environment

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from pannier_sidecar.cli.process_identity import ProcessIdentity
    from pannier_sidecar.cli.run_records import RunRecord

RUN_FILE: Final = "dapr.yaml"
"""The name of the run file in a folder."""
_STEPS: Final = (
    (signal.SIGTERM, 15.0, ""),
    (signal.SIGTERM, 5.0, "did not end within 15 s; its app is killed"),  # a second signal kills the app
    (signal.SIGKILL, 5.0, "did not end then either; it is killed"),
)
"""Signal, seconds to wait for the end, and what is said about a process that gets the signal."""
_PAUSE: Final = 0.05


def stop(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """End what the arguments name; return 1 if some of it does not run or does not end. Raises UsageError."""
    parsed, words = parse_with_paths(arguments, STOP)
    app_ids: Sequence[str] = parsed.changes.get("app_ids", ())
    run_file: Path | None = parsed.changes.get("run_file")
    if words or bool(app_ids) == bool(run_file):
        raise UsageError("write pannier stop --app-id NAME, which may be given several times, or pannier stop -f FILE")
    try:
        folder = records_of(from_environment(environment).place.data_folder)
        records = folder.running()
    except RecordsError as error:
        print(f"pannier: {error}", file=sys.stderr)
        return 1
    found, missing = _of_run_file(records, run_file) if run_file else _of_apps(records, app_ids)
    for line in missing:
        print(f"pannier: {line}", file=sys.stderr)
    asked = {record.process for record in found if not folder.mark_stopping(record)}
    has_ended = end({record.process: _name_of(record) for record in found}, asked)
    return 0 if has_ended and not missing else 1


def run_file_at(path: Path) -> Path:
    """Return the absolute path of a run file, or of the one in a folder."""
    return (path / RUN_FILE if path.is_dir() else path).resolve()


def _of_apps(records: Sequence[RunRecord], app_ids: Sequence[str]) -> tuple[list[RunRecord], list[str]]:
    """Return the records of these apps, and a line for each app that does not run."""
    found = [record for record in records if record.app_id in app_ids]
    running = {record.app_id for record in found}
    missing = [name for name in dict.fromkeys(app_ids) if name not in running]
    return found, [f"app {name!r} does not run; 'pannier list' shows the apps that do" for name in missing]


def _of_run_file(records: Sequence[RunRecord], path: Path) -> tuple[list[RunRecord], list[str]]:
    """Return the records of the runners of a run file; those end their apps themselves."""
    wanted = run_file_at(path)
    found = [record for record in records if record.run_file == str(wanted) and not record.app_id]
    if found:
        return found, []
    return [], [f"nothing that {wanted} starts runs; 'pannier list' shows the run files of the apps that do"]


def _name_of(record: RunRecord) -> str:
    return f"app '{record.app_id}'" if record.app_id else f"run of {record.run_file}"


def end(processes: Mapping[ProcessIdentity, str], asked: Collection[ProcessIdentity] = ()) -> bool:
    """Ask processes to end, kill those that do not, and print what has ended; return whether all have.

    The names are for the messages. Those that have been `asked` already do not get the first signal.
    """
    left = dict(processes)
    waiting = set(asked)
    for number, patience, remark in _STEPS:
        if remark:
            for name in left.values():
                print(f"pannier: {name} {remark}", file=sys.stderr)
        _send({process: name for process, name in left.items() if process not in waiting}, number)
        waiting.clear()
        _wait(left, patience)
        if not left:
            return True
    for process, name in left.items():
        print(f"pannier: {name} does not end: process {process.pid} can't be ended by you", file=sys.stderr)
    return False


def _send(processes: Mapping[ProcessIdentity, str], number: signal.Signals) -> None:
    for process, name in processes.items():
        try:
            process.send(number)
        except PermissionError:
            print(f"pannier: {name} belongs to another user: process {process.pid}", file=sys.stderr)


def _wait(left: dict[ProcessIdentity, str], patience: float) -> None:
    """Wait until the processes have ended, and take those that have out of `left`."""
    deadline = time.monotonic() + patience
    while left and time.monotonic() < deadline:
        for process in [process for process in left if not process.is_running]:
            print(f"{left.pop(process)} has ended", flush=True)
        if left:
            time.sleep(_PAUSE)
