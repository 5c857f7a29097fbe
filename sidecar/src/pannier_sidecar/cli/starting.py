"""The common part of `run` and `serve`: from arguments to a sidecar whose components have been read."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pannier_crds.folder import KUBERNETES_SECRETS_FILE
from pannier_sidecar import __version__, listening
from pannier_sidecar.cli.parsing import Parsed, UsageError, parse
from pannier_sidecar.loading.folder import FolderUnreadableError
from pannier_sidecar.memory_limit import memory_limit
from pannier_sidecar.observing import logs
from pannier_sidecar.settings import MOUNTED_COMPONENTS, Settings, SettingsError, check, from_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pannier_sidecar.loading.configuration_files import ConfigurationFiles
    from pannier_sidecar.loading.plans import Plan

log = logging.getLogger(__name__)


class StartError(Exception):
    """The sidecar can't start; the text is one or more lines for the user."""

    def __init__(self, text: str, fatal: str = ""):
        """`fatal` is the line that daprd would log, for programs that wait for it."""
        super().__init__(text)
        self.fatal = fatal


def read_settings(
    arguments: Sequence[str], environment: Mapping[str, str], defaults: Mapping[str, Any] | None = None
) -> tuple[Settings, Parsed]:
    """Read the settings of a verb. Raises UsageError."""
    parsed = parse(arguments)
    settings = from_environment(environment, defaults).changed({"limits.memory": memory_limit(), **parsed.changes})
    try:
        if not parsed.asks:
            check(settings)
    except SettingsError as error:
        raise UsageError(str(error)) from None
    return settings, parsed


def do_instead(settings: Settings, parsed: Parsed) -> int:
    """Print the version, or wait for a sidecar, instead of serving; return the exit code."""
    if parsed.asks == "wait":
        from pannier_sidecar.cli.waiting import wait_until_ready

        return wait_until_ready(settings.listen.http_port)
    print(__version__)
    return 0


def set_up_logs(settings: Settings, parsed: Parsed) -> None:
    """Set up logging, and log once which of daprd's flags have no effect."""
    place = settings.place
    logs.set_up(
        settings.log.level,
        as_json=settings.log.as_json,
        app_id=settings.app.id,
        instance=place.pod_name or "",
        version=__version__,
        stream=sys.stdout if settings.profile == "dapr" else None,
    )
    if parsed.without_effect:
        names = ", ".join(f"--{name}" for name in dict.fromkeys(parsed.without_effect))
        log.info("flags that have no effect here: %s", names)


def read_configuration(settings: Settings) -> tuple[Settings, ConfigurationFiles | None]:
    """Read the files of `--config`. Return the settings that follow from them, and the files; None if there are none.

    In a pod the flag may be the name of an object, as in Dapr. The operator gives sidecars the path of a file instead,
    so nothing delivers an object that is named: the start fails, because without its rules every call would be allowed.
    Raises StartError.
    """
    files, secrets = settings.configurations, None
    if settings.place.mode == "kubernetes":
        for file in files:
            if len(file.parts) < 2:
                advice = "write the path of a file, or let the operator inject the sidecar (annotation dapr.io/config)"
                raise StartError(f"--config {file}: a Configuration is not read from the cluster by its name; {advice}")
        secrets = (settings.components.folders or (MOUNTED_COMPONENTS,))[0] / KUBERNETES_SECRETS_FILE
    if not files:
        return settings, None
    # Imported here for PyYAML, and because few sidecars have a Configuration.
    from pannier_sidecar.loading.configuration_files import ConfigurationFiles, WrongConfigurationError

    source = ConfigurationFiles(files, settings.place.environment, secrets)
    try:
        configuration = source.read()
    except WrongConfigurationError as wrong:
        raise StartError(str(wrong)) from None
    if configuration.metrics.is_enabled is False:
        settings = settings.changed({"listen.serves_metrics": False})
    return settings, source


def refuse_wrong_components(plan: Plan, *, are_errors_ignored: bool = False) -> None:
    """Raise StartError with a line for each error; `are_errors_ignored` leaves out components with `ignoreErrors`."""
    every = (*plan.refused, *plan.refused_resiliencies)
    wrong = [refused for refused in every if not (are_errors_ignored and refused.ignores_errors)]
    lines = [line for refused in wrong for line in refused.lines()]
    if lines:
        raise StartError("\n".join(lines))


@contextmanager
def one_line_each() -> Iterator[None]:
    """Turn an error that prevents the start into a line on standard error and exit code 1."""
    try:
        yield
    except (StartError, FolderUnreadableError, listening.BindError) as error:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends as usual, but with the exit code of a failure
        if isinstance(error, StartError) and error.fatal:
            log.critical("%s", error.fatal)
        for line in str(error).splitlines():
            print(f"pannier: {line}", file=sys.stderr)
        raise SystemExit(1) from None


def on_signals(
    handle: Callable[[signal.Signals], None],
    numbers: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
) -> None:
    """Call `handle` in the event loop at each of these signals, by default at those that ask the process to end."""
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, handle, number)
