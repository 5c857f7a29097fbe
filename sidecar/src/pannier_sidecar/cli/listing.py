"""`pannier list`: the apps of this user that run on this machine, with the fields of Dapr's `dapr list`."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Final

from pannier_sidecar.cli.flags import LIST
from pannier_sidecar.cli.parsing import UsageError, parse_with_paths
from pannier_sidecar.cli.run_records import RecordsError, records_of
from pannier_sidecar.settings import from_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pannier_sidecar.cli.run_records import RunRecord

_COLUMNS: Final = {
    "APP ID": "appId",
    "HTTP PORT": "httpPort",
    "GRPC PORT": "grpcPort",
    "APP PORT": "appPort",
    "COMMAND": "command",
    "AGE": "age",
    "CREATED": "created",
    "DAPRD PID": "daprdPid",
    "CLI PID": "cliPid",
    "APP PID": "appPid",
    "RUN_TEMPLATE_PATH": "runTemplatePath",
    "APP_LOG_PATH": "appLogPath",
    "DAPRD_LOG_PATH": "daprdLogPath",
}
"""Dapr's column names, which scripts know. A path's column is left out if no row has one."""
_PATHS: Final = ("runTemplatePath", "appLogPath", "daprdLogPath")
_MAX_COMMAND: Final = 20
_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60))


def list_apps(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Print what runs; return 1 if that can't be found out. Raises UsageError."""
    parsed, words = parse_with_paths(arguments, LIST)
    if words:
        raise UsageError(f"unexpected {words[0]!r}; write pannier list")
    try:
        records = records_of(from_environment(environment).place.data_folder).running()
    except RecordsError as error:
        print(f"pannier: {error}", file=sys.stderr)
        return 1
    rows = [row_of(record, time.time()) for record in records if record.app_id]
    output = parsed.changes.get("output", "table")
    if output == "json":
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif output == "yaml":
        from pannier_crds.manifests import write_document

        print("".join(_as_list_item(write_document(row)) for row in rows) or "[]\n", end="")
    else:
        print("\n".join(table_of(rows)) if rows else "no app runs; 'pannier run' starts one")
    return 0


def row_of(record: RunRecord, now: float) -> dict[str, object]:
    """Return a record in the fields of `dapr list -o json`. `now` is in seconds since 1970."""
    return {
        "appId": record.app_id,
        "httpPort": record.http_port,
        "grpcPort": record.grpc_port,
        "appPort": record.app_port,
        "metricsEnabled": record.serves_metrics,
        "command": record.command,
        "age": age(now - record.created),
        "created": time.strftime("%Y-%m-%d %H:%M.%S", time.localtime(record.created)),
        "daprdPid": record.process.pid,
        "cliPid": record.runner.pid if record.runner else record.process.pid,
        "appPid": record.app_pid,
        "maxRequestBodySize": record.max_body_size,
        "httpReadBufferSize": record.read_buffer_size,
        "unixSocket": record.unix_socket,
        "runTemplatePath": record.run_file,
        "appLogPath": record.app_log,
        "daprdLogPath": record.sidecar_log,
        "runTemplateName": record.run_name,
    }


def age(seconds: float) -> str:
    """Return a number of seconds in its largest unit, such as 5s, 2m, 3h or 4d."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds // length:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def table_of(rows: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """Yield the lines of the table."""
    shown = {title: name for title, name in _COLUMNS.items() if name not in _PATHS or any(row[name] for row in rows)}
    lines = [list(shown), *([_cell(row, name) for name in shown.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()


def _cell(row: Mapping[str, object], name: str) -> str:
    text = "".join(character if character.isprintable() else " " for character in str(row[name]))
    if name == "command" and len(text) > _MAX_COMMAND:
        return f"{text[: _MAX_COMMAND - 3]}..."
    return "" if name == "appPid" and not row[name] else text


def _as_list_item(document: str) -> str:
    first, *others = document.splitlines()
    return "".join(f"{line}\n" for line in (f"- {first}", *(f"  {line}" for line in others)))
