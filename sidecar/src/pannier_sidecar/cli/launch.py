"""One app beside its sidecar, as `pannier run` starts it: alone, or for the runner of a run file."""

from __future__ import annotations

import logging
import os
import shlex
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field
from msgspec.structs import replace

from pannier_sidecar.cli.process_identity import ProcessIdentity
from pannier_sidecar.cli.run_records import RecordsError, RunRecord, RunRecords, new_record, records_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pannier_sidecar.listening import Listeners
    from pannier_sidecar.settings import Settings

log = logging.getLogger(__name__)

_MAX_COMMAND: Final = 2048
"""Characters of a command that is shown."""
_MAX_ATTRIBUTE: Final = 2048
"""Characters of an attribute in the metadata; `runtime.MAX_ATTRIBUTE_CHARS` allows a few more."""


class Launch(Struct, frozen=True):
    """What the runner of a run file says of one of its apps. The defaults are those of `pannier run` alone."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of the app, which win over all others. Of the sidecar, only the components can read them."""
    runner: ProcessIdentity | None = None
    run_file: str = ""
    run_name: str = ""
    app_log: str = ""
    sidecar_log: str = ""


class Announcement:
    """What `pannier list` and the metadata say of this process, from its start to its end."""

    def __init__(self, settings: Settings, listeners: Listeners, command: Sequence[str], launch: Launch) -> None:
        paths = listeners.unix_paths
        self._data_folder = settings.place.data_folder
        self._records: RunRecords | None = None
        self._has_failed = False
        self.record: RunRecord = replace(
            new_record(time.time()),
            app_id=settings.app.id,
            http_port=listeners.api_port or 0,
            grpc_port=listeners.grpc_port or 0,
            app_port=settings.app.port or 0,
            unix_socket=str(paths[0]) if paths else "",
            serves_metrics=bool(listeners.metrics),
            command=shlex.join(command)[:_MAX_COMMAND],
            runner=launch.runner,
            run_file=launch.run_file,
            run_name=launch.run_name,
            app_log=launch.app_log,
            sidecar_log=launch.sidecar_log,
            max_body_size=settings.limits.max_body_size,
            read_buffer_size=settings.limits.read_buffer_size,
        )

    def write(self, app_pid: int = 0) -> None:
        """Write or renew the record. If that fails the app runs all the same, and the log says so once."""
        self.record = replace(self.record, app_pid=app_pid)
        if self._has_failed:
            return
        try:
            self._records = self._records or records_of(self._data_folder)
            self._records.write(self.record)
        except RecordsError as error:
            self._has_failed = True
            log.warning("'pannier list' and 'pannier stop' won't find this app: %s", error)

    def remove(self) -> None:
        if self._records is not None:
            self._records.remove(self.record)

    def attributes(self) -> dict[str, str]:
        """Return what Dapr's command line puts into the metadata, under Dapr's names."""
        record = self.record
        every = {
            "cliPID": str(record.runner.pid if record.runner else os.getpid()),
            "appPID": str(record.app_pid or ""),
            "appCommand": record.command,
            "runTemplatePath": record.run_file,
            "runTemplateName": record.run_name,
            "appLogPath": record.app_log,
            "daprdLogPath": record.sidecar_log,
        }
        return {name: value[:_MAX_ATTRIBUTE] for name, value in every.items() if value}
