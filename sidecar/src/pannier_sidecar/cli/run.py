"""`pannier run`: the sidecar on a laptop, and the app beside it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pannier_crds.component import Component, MetadataItem
from pannier_sidecar import __version__, listening
from pannier_sidecar.app import Sidecar, run_loop
from pannier_sidecar.cli import starting
from pannier_sidecar.cli.app_process import AppProcess, app_environment, check_command
from pannier_sidecar.cli.flags import RUN
from pannier_sidecar.cli.launch import Announcement, Launch
from pannier_sidecar.cli.parsing import parse
from pannier_sidecar.loading.folder import FolderWatch, ParsedComponent, Reading
from pannier_sidecar.loading.half_written import PATIENCE
from pannier_sidecar.observing import logs
from pannier_sidecar.settings import RUN_DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pannier_sidecar.cli.runner_link import RunnerLink
    from pannier_sidecar.loading.configuration_files import ConfigurationFiles
    from pannier_sidecar.loading.plans import Plan
    from pannier_sidecar.settings import Settings

log = logging.getLogger(__name__)

STORES_PATIENCE: Final = 1.0
"""Seconds that the start waits for stores. The time is short, because the user waits to see why one is not ready."""
OWN_STORE: Final = Component("statestore", "state.sqlite", metadata=(MetadataItem("actorStateStore", "true"),))
"""The store that is served if no folder is given; its file is in the user's data folder."""


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Serve, run the app if there is one, and end with its exit code; or run the apps of a run file."""
    given = parse(arguments, RUN)
    if "run_file" in given.changes and not given.asks:
        from pannier_sidecar.cli.run_file.runner import run_apps

        return run_apps(given.changes["run_file"], arguments, environment)
    return run_one(arguments, environment, Launch())


def run_one(
    arguments: Sequence[str], environment: Mapping[str, str], launch: Launch, runner: RunnerLink | None = None
) -> int:
    """Do what `pannier run` does. `runner` gets a report when everything has started; the run ends if it is killed."""
    settings, parsed = starting.read_settings(arguments, environment, RUN_DEFAULTS)
    if parsed.asks:
        return starting.do_instead(settings, parsed)
    if launch.environment:
        settings = settings.changed({"place.environment": MappingProxyType(_for_components(environment, launch))})
    starting.set_up_logs(settings, parsed)
    is_quiet = "log.level" not in parsed.changes
    if is_quiet:
        logs.set_level("warn")  # the welcome says what matters
    with starting.one_line_each():
        if parsed.command:
            check_command(parsed.command, {**environment, **launch.environment})
        settings, configuration = starting.read_configuration(settings)
        with listening.bind(settings) as listeners:
            run = _Run(settings, listeners, parsed.command, launch, runner, configuration)
            return run_loop(run.to_its_end(is_quiet=is_quiet))


def _for_components(environment: Mapping[str, str], launch: Launch) -> dict[str, str]:
    """Return what `envRef` and secret stores read: also the app's own variables, but not how the app is traced."""
    own = {name: value for name, value in launch.environment.items() if not name.startswith("OTEL_")}
    return {**environment, **own}


class _Run:
    """One sidecar, and the app beside it if there is one."""

    def __init__(
        self,
        settings: Settings,
        listeners: listening.Listeners,
        command: Sequence[str],
        launch: Launch,
        runner: RunnerLink | None,
        configuration: ConfigurationFiles | None,
    ):
        self._configuration = configuration
        self._settings = settings
        self._listeners = listeners
        self._command = command
        self._launch = launch
        self._runner = runner
        self._announcement = Announcement(settings, listeners, command, launch)

    async def to_its_end(self, *, is_quiet: bool) -> int:
        """Return the exit code."""
        sidecar = Sidecar(self._settings, self._listeners, self._source(), self._configuration)
        plan = sidecar.read_components()
        starting.refuse_wrong_components(plan)
        ending = _Ending(sidecar)
        starting.on_signals(ending.on_signal)
        if self._runner is not None:
            self._runner.when_closed(sidecar.ask_to_stop)
        await sidecar.start(STORES_PATIENCE)
        for line in _welcome(self._settings, self._listeners, plan, sidecar):
            print(line, flush=True)
        if is_quiet:
            logs.set_level("info")  # log what happens after a file has changed
        try:
            self._announce(sidecar)
            if self._command and not sidecar.is_asked_to_stop:
                return await self._with_app(sidecar, ending)
            self._report_start()
            await sidecar.wait_until_asked_to_stop()
            return await sidecar.stop()
        finally:
            self._announcement.remove()

    async def _with_app(self, sidecar: Sidecar, ending: _Ending) -> int:
        try:
            ending.app = await AppProcess.start(self._command, self._app_environment())
            self._announce(sidecar, ending.app.pid)
            self._report_start()
            return await _beside(sidecar, ending.app)
        finally:
            await sidecar.stop()

    def _source(self) -> FolderWatch | Reading:
        folders = self._settings.components.folders
        if folders:
            return FolderWatch(folders, patience=PATIENCE)
        return Reading((ParsedComponent(OWN_STORE, "the default store"),))

    def _app_environment(self) -> dict[str, str]:
        listeners = self._listeners
        metrics_port = listening.port_of(listeners.metrics)
        own = app_environment(self._settings, listeners.api_port, listeners.grpc_port, metrics_port)
        return {**own, **self._launch.environment}

    def _announce(self, sidecar: Sidecar, app_pid: int = 0) -> None:
        self._announcement.write(app_pid)
        sidecar.attach(self._announcement.attributes())

    def _report_start(self) -> None:
        if self._runner is not None:
            self._runner.report(self._announcement.record)


async def _beside(sidecar: Sidecar, app: AppProcess) -> int:
    """Wait until the app ends, or end it when the sidecar is asked to stop; return the app's exit code."""
    ended = asyncio.create_task(app.wait())
    stopping = asyncio.create_task(sidecar.wait_until_asked_to_stop())
    await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not ended.done():
        await app.end()
    return await ended


class _Ending:
    """Handles signals: the first is passed on to the app or, without an app, stops the sidecar. A second one kills it,
    but SIGHUP is always passed on to an app.
    """

    def __init__(self, sidecar: Sidecar):
        self.app: AppProcess | None = None
        self._sidecar = sidecar
        self._asked = 0

    def on_signal(self, number: signal.Signals) -> None:
        self._asked += 1
        if self.app is None or not self.app.is_running:
            if self._asked > 1:
                os._exit(128 + number)
            self._sidecar.ask_to_stop()
        elif self._asked == 1 or number == signal.SIGHUP:
            self.app.send(number)
            log.warning("%s passed on to the app; send it again to end at once", number.name)
        else:
            self.app.send(signal.SIGKILL)


def _welcome(settings: Settings, listeners: listening.Listeners, plan: Plan, sidecar: Sidecar) -> list[str]:
    """Return what the user sees first: the address, the stores, and a command to try."""
    port = listeners.api_port
    base, curl = f"http://127.0.0.1:{port}", "curl"
    if port is None:
        path = listening.addresses_of(listeners.api)
        base, curl = "http://localhost", f"curl --unix-socket {path}"
    lines = [f"Pannier {__version__} serves app '{settings.app.id}' at {base if port else path}"]
    states = sidecar.supervisor.states()
    for state in states:
        is_own = not settings.components.folders and plan.desired
        place = f", in {plan.desired[0].settings['connectionString']}" if is_own else ""
        why = f": {state.why}" if state.why else ""
        lines.append(f"  store    {state.name} ({state.type}{place}) is {state.state}{why}")
    if not states:
        lines.append(f"  store    none yet: add a component to {settings.components.folders[0]}")
    if listeners.grpc_port is not None:
        lines.append(f"  gRPC     127.0.0.1:{listeners.grpc_port}, for the SDKs of Dapr and Layotto")
    if listeners.metrics:
        lines.append(f"  metrics  http://127.0.0.1:{listening.port_of(listeners.metrics)}/metrics")
    name = states[0].name if states else "statestore"
    store = f"{base}/v1.0/state/{name}"
    item = """'[{"key": "hello", "value": "world"}]'"""
    lines.append(f"  try      {curl} -d {item} {store} && {curl} {store}/hello")
    return lines
