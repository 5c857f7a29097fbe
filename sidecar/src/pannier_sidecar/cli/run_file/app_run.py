"""One app of a run file, as the runner sees it: the process of its sidecar, its output, and what it reports."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from pannier_sidecar.cli.launch import Launch
from pannier_sidecar.cli.run_file.fields import BY_NAME
from pannier_sidecar.cli.run_file.output import AppOutput
from pannier_sidecar.cli.run_records import RunRecord
from pannier_sidecar.cli.runner_link import Order

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence

    from pannier_sidecar.cli.process_identity import ProcessIdentity
    from pannier_sidecar.cli.run_file.planning import AppPlan

_PROGRAM: Final = "import sys; from pannier_sidecar.__main__ import one_app; sys.exit(one_app())"
_LAST_OUTPUT: Final = 1.0
"""Seconds to wait for what was written last."""


class NotStartedError(Exception):
    """An app or its sidecar has not started; the text is one or more lines for the user."""


class AppRun:
    """The process of one app."""

    def __init__(self, plan: AppPlan, time: str, environment: Mapping[str, str]):
        """Open the output; nothing runs yet. Raises StartError."""
        self._plan = plan
        self._environment = environment
        self._output = AppOutput(plan, time, environment)
        self._process: asyncio.subprocess.Process | None = None
        self._ended: asyncio.Task[int] | None = None

    @property
    def app_id(self) -> str:
        return self._plan.app_id

    @property
    def is_running(self) -> bool:
        return self._ended is not None and not self._ended.done()

    def logs(self) -> str:
        """Return where the output goes, for a line to the user; empty if to the console only."""
        paths = [str(path) for path in (self._output.app_log, self._output.sidecar_log) if path is not None]
        return f", logs in {' and '.join(paths)}" if paths else ""

    async def start(self, flags: Sequence[str], runner: ProcessIdentity, run_file: str, run_name: str) -> None:
        """Start the process and send it what to run."""
        ours, theirs = socket.socketpair()
        stdout, stderr = self._output.inlets
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # no module of the folder in which the user is
            "-c",
            _PROGRAM,
            self.app_id,  # for those who read `ps`
            stdin=theirs.fileno(),
            stdout=stdout,
            stderr=stderr,
            cwd=self._plan.folder,  # of the sidecar too: relative paths in components count from there, as in Dapr
            env=dict(self._environment),
            start_new_session=True,  # a signal from the terminal reaches it only once, through the runner
        )
        self._output.start()
        theirs.close()
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        self._ended = asyncio.create_task(self._wait())
        launch = Launch(
            self._plan.environment,
            runner,
            run_file,
            run_name,
            str(self._output.app_log or ""),
            str(self._output.sidecar_log or ""),
        )
        command = ("--", *self._plan.command) if self._plan.command else ()
        order = Order((*flags, *self._plan.arguments, *command), launch)
        with suppress(OSError):  # it has ended already, which `started` notices
            self._writer.write(msgspec.json.encode(order) + b"\n")
            await self._writer.drain()

    async def started(self) -> RunRecord:
        """Wait until the sidecar answers and the app has started. Raises NotStartedError."""
        with suppress(OSError, ValueError):
            line = await self._reader.readline()
            if line.endswith(b"\n"):
                return msgspec.json.decode(line, type=RunRecord)
        await self.wait()
        reasons = self._output.refusals or ["its sidecar has ended; its log says why"]
        raise NotStartedError("\n".join(f"app '{self.app_id}' did not start: {_in_fields(each)}" for each in reasons))

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it still runs."""
        if self.is_running and self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def wait(self) -> int:
        """Wait until the process and its output have ended; return its exit code, 128 + n after signal n."""
        assert self._ended is not None
        return await asyncio.shield(self._ended)

    async def _wait(self) -> int:
        assert self._process is not None
        code = await self._process.wait()
        await asyncio.to_thread(self._output.finish, _LAST_OUTPUT)
        self._writer.close()
        return code if code >= 0 else 128 - code


def _in_fields(text: str) -> str:
    """Return a message of a sidecar with the names of the run file's fields in place of flags."""
    for field in BY_NAME.values():
        if field.flag:
            text = text.replace(f"pass --{field.flag}", f"change {field.name}").replace(f"--{field.flag}", field.name)
    return text.replace("check the command after ' -- '", "check its command")
