"""The app that `pannier run` starts: a child process with its own process group."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pannier_sidecar.cli.app_keeper import AppKeeper
from pannier_sidecar.cli.prefixed_output import PrefixedOutput, prefix_for
from pannier_sidecar.cli.starting import StartError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

    from pannier_sidecar.settings import Settings

_GRACE: Final = 10.0
"""Seconds from SIGTERM to SIGKILL if a call shuts the sidecar down. Signals are passed on, without such a limit."""
_LAST_OUTPUT: Final = 1.0
"""Seconds to wait for what the app wrote last."""
_BELONGS_TO_SIDECAR: Final = (
    "DAPR_HTTP_PORT",
    "DAPR_GRPC_PORT",
    "DAPR_METRICS_PORT",
    "DAPR_HTTP_ENDPOINT",
    "DAPR_GRPC_ENDPOINT",
    "runtime_GRPC_HOST",
    "runtime_GRPC_PORT",
)


def check_command(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Raise StartError if there is no such program, before anything is started."""
    if shutil.which(command[0], path=environment.get("PATH", os.defpath)) is None:
        raise StartError(f"{command[0]}: no such program; check the command after ' -- '")


def app_environment(
    settings: Settings, http_port: int | None, grpc_port: int | None = None, metrics_port: int | None = None
) -> dict[str, str]:
    """Return the app's environment: the sidecar's own, but variables that describe a sidecar describe this one."""
    environment = {name: value for name, value in settings.place.environment.items() if name not in _BELONGS_TO_SIDECAR}
    environment["APP_ID"] = settings.app.id
    if settings.app.port is not None:
        environment["APP_PORT"] = str(settings.app.port)
        environment["APP_PROTOCOL"] = settings.app.protocol
    if http_port is not None:
        environment["DAPR_HTTP_PORT"] = str(http_port)
    if grpc_port is not None:
        environment["DAPR_GRPC_PORT"] = str(grpc_port)
        environment["runtime_GRPC_PORT"] = str(grpc_port)  # Layotto's SDKs spell it so
    if metrics_port is not None:
        environment["DAPR_METRICS_PORT"] = str(metrics_port)
    environment.setdefault("PYTHONUNBUFFERED", "1")  # Python buffers what it writes to a pipe
    return environment


class AppProcess:
    """The app while it runs."""

    def __init__(self, process: asyncio.subprocess.Process, outputs: Sequence[PrefixedOutput], keeper: AppKeeper):
        self._process = process
        self._outputs = outputs
        self._keeper = keeper
        self._is_asked_to_end = False

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str]) -> AppProcess:
        """Start the app. Raises StartError.

        It gets its own process group, so that a signal reaches it once, and also reaches what it has started. Instead
        of a terminal its input is /dev/null, because a background group that reads from a terminal is stopped. A pipe
        is passed on. A keeper ends the app if this process is killed.
        """
        keeper = AppKeeper()
        outputs = [_output(sys.stdout.buffer, environment), _output(sys.stderr.buffer, environment)]
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL if sys.stdin is None or sys.stdin.isatty() else None,
                stdout=outputs[0].inlet,
                stderr=outputs[1].inlet,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=keeper.register,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            keeper.release()
            for output in outputs:
                output.discard()
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            raise StartError(f"{command[0]} can't be started: {reason}") from error
        for output in outputs:
            output.start()
        return cls(process, outputs, keeper)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    def send(self, number: signal.Signals) -> None:
        """Pass a signal on to the app and what it started."""
        self._is_asked_to_end |= number in (signal.SIGINT, signal.SIGTERM)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def wait(self) -> int:
        """Wait until the app and its output have ended; return its exit code, 128 + n after signal n."""
        code = await self._process.wait()
        if self._is_asked_to_end:
            self.send(signal.SIGTERM)  # what a shell starts in the background ignores SIGINT
        await asyncio.to_thread(self._keeper.release)
        for output in self._outputs:
            await asyncio.to_thread(output.finish, _LAST_OUTPUT)
        return code if code >= 0 else 128 - code

    async def end(self) -> None:
        """Ask the app to end, and kill it if it has not ended in time."""
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(_GRACE):
                await self._process.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self._process.wait()


def _output(stream: BinaryIO, environment: Mapping[str, str]) -> PrefixedOutput:
    return PrefixedOutput(stream, prefix_for(stream, environment))
