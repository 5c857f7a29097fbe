"""`pannier serve`: the sidecar alone, as a pod or a compose file runs it."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING, Final

from pannier_sidecar import listening
from pannier_sidecar.app import Sidecar, run_loop
from pannier_sidecar.cli import starting
from pannier_sidecar.cli.parsing import UsageError
from pannier_sidecar.loading.as_daprd import duplicates_message
from pannier_sidecar.loading.folder import FolderWatch
from pannier_sidecar.loading.half_written import PATIENCE
from pannier_sidecar.settings import MOUNTED_COMPONENTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pannier_sidecar.loading.configuration_files import ConfigurationFiles
    from pannier_sidecar.settings import Settings

log = logging.getLogger(__name__)

STORES_PATIENCE: Final = 5.0
"""Seconds that the start waits for stores: the default timeout of one attempt to open. The pod's app starts after it.
"""


def serve(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Serve until a signal or a call to /v1.0/shutdown ends it."""
    settings, parsed = starting.read_settings(arguments, environment)
    if parsed.asks:
        return starting.do_instead(settings, parsed)
    if parsed.command:
        raise UsageError("serve starts no app; write pannier run ... -- COMMAND")
    starting.set_up_logs(settings, parsed)
    with starting.one_line_each():
        listening.allow_many_files()
        settings, configuration = starting.read_configuration(settings)
        with listening.bind(settings) as listeners:
            return run_loop(_serve(settings, listeners, configuration))


async def _serve(settings: Settings, listeners: listening.Listeners, configuration: ConfigurationFiles | None) -> int:
    folders = settings.components.folders
    source = FolderWatch(
        folders or [MOUNTED_COMPONENTS],
        may_be_missing=not folders,
        needs_index=settings.components.needs_index,
        patience=PATIENCE,
    )
    sidecar = Sidecar(settings, listeners, source, configuration)
    plan = sidecar.read_components()
    is_dapr = settings.profile == "dapr"  # daprd ends if a component is wrong and does not set `ignoreErrors`
    if plan.duplicates:
        raise starting.StartError("\n".join(plan.duplicates), duplicates_message(plan.duplicates, "load components"))
    if settings.components.is_strict or is_dapr:
        starting.refuse_wrong_components(plan, are_errors_ignored=not settings.components.is_strict)
    is_ending = False

    def end(signal_number: signal.Signals) -> None:
        nonlocal is_ending
        if is_ending:
            log.warning("a second %s: ending at once", signal_number.name)
            os._exit(128 + signal_number)
        is_ending = True
        log.info("%s: ending", signal_number.name)
        sidecar.ask_to_stop()

    def reload(signal_number: signal.Signals) -> None:
        log.info("%s: reading the components again", signal_number.name)
        sidecar.supervisor.reload()

    starting.on_signals(end, (signal.SIGINT, signal.SIGTERM))
    starting.on_signals(reload, (signal.SIGHUP,))
    await sidecar.start(STORES_PATIENCE)
    if not sidecar.supervisor.states() and not sidecar.supervisor.secret_stores:
        log.warning("there is no component in %s yet", ", ".join(map(str, folders or [MOUNTED_COMPONENTS])))
    log.info("gRPC on %s", listening.addresses_of(listeners.grpc))
    if listeners.metrics:
        log.info("metrics on %s", listening.addresses_of(listeners.metrics))
    await sidecar.wait_until_asked_to_stop()
    return await sidecar.stop()
