"""`python -m pannier_operator`: reads the settings, runs kopf and the control plane in one event loop."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from asyncio.sslproto import SSLProtocol
from typing import TYPE_CHECKING

import kopf

from pannier_operator import handlers
from pannier_operator.cluster.api import SECRETS_FIELD_SELECTOR, ClusterApi
from pannier_operator.cluster.client import KubernetesClient
from pannier_operator.controller.control_plane import ControlPlane
from pannier_operator.log_lines import JsonLines, Lines
from pannier_operator.objects.resource_versions import ResourceVersionRewoundError
from pannier_operator.settings import SettingsError, from_environment, read_environment
from pannier_operator.webhook.server import WebhookServer

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pannier_operator.settings import ObservingSettings, OperatorSettings

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_FIRST_CHUNK = 50
"""Objects per page of the list with which a watch begins. Few, because the memory of a parsed page stays in the
process.
"""
_IDLE_TIMEOUT = 0.1
"""Seconds that kopf keeps an object's worker after its event. With more, a whole list would be in memory at once.
"""
_CALL_TIMEOUT = 30.0
_CONNECT_TIMEOUT = 5.0
"""Timeout in seconds of kopf's calls, which it retries. Its default, five minutes, would delay webhooks for as long.
"""
_TLS_BUFFER = 64 * 1024
"""Bytes that each connection with TLS has to read into. Python's default is four times as much, and an operator at rest
has seven connections.
"""


def main() -> None:
    try:
        settings = from_environment(read_environment())
    except SettingsError as error:
        sys.exit(f"pannier-operator cannot start:\n{error}")
    write_logs(settings.observing)
    SSLProtocol.max_size = _TLS_BUFFER
    try:
        asyncio.run(run(settings))
    except ResourceVersionRewoundError as rewound:
        sys.exit(f"pannier-operator stops and will start again with an empty cache: {rewound}")


async def run(settings: OperatorSettings) -> None:
    """Run until a signal comes, or a part has failed."""
    stop = asyncio.Event()
    api = ClusterApi(KubernetesClient(log_in))
    plane = ControlPlane(settings, api)
    try:
        await plane.prepare()
        parts = plane.start()
        await _together(kopf_operator(settings, plane, stop), parts)
    finally:
        await plane.stop()


def log_in() -> kopf.ConnectionInfo:
    """Return the credentials of the service account, or outside a cluster those of a kubeconfig, as kopf does for its
    own calls.
    """
    settings = kopf.OperatorSettings()
    found = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(settings=settings)
    if found is None:
        sys.exit("pannier-operator cannot start: there is no service account's token; outside a pod, set KUBECONFIG")
    return found


async def _together(operator: Coroutine[object, object, None], parts: list[asyncio.Task[None]]) -> None:
    """Return when kopf has ended; raise when a part has failed, so that the container restarts as a whole."""
    main_task = asyncio.create_task(operator)
    done, _ = await asyncio.wait([main_task, *parts], return_when=asyncio.FIRST_COMPLETED)
    main_task.cancel()
    await asyncio.gather(main_task, return_exceptions=True)
    for task in done:
        if not task.cancelled():
            task.result()


async def kopf_operator(settings: OperatorSettings, plane: ControlPlane, stop: asyncio.Event) -> None:
    """Run kopf with our handlers. On SIGTERM the control plane leaves first, and then kopf stops."""
    namespaces = settings.operator.watched_namespaces
    ours = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=handlers.registry,
        settings=kopf_settings(settings, plane),
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
        memo=plane,
        stop_flag=stop,
    )
    take_signals(plane, stop)
    await kopf.run_tasks(tasks, ignored=ours)


def take_signals(plane: ControlPlane, stop: asyncio.Event) -> None:
    """Replace kopf's signal handlers, which stop the webhooks at once, while API servers still send requests here."""
    loop = asyncio.get_running_loop()
    leaving: list[asyncio.Task[None]] = []

    async def leave() -> None:
        await plane.leave()
        stop.set()

    def on_signal() -> None:
        if leaving:
            stop.set()  # a second signal stops it at once
        leaving.append(loop.create_task(leave()))

    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, on_signal)


def kopf_settings(settings: OperatorSettings, plane: ControlPlane) -> kopf.OperatorSettings:
    """Return kopf's settings: it watches and serves, and writes no Events, objects or webhook configurations."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.scanning.disabled = bool(settings.operator.watched_namespaces)
    chosen.networking.request_timeout = _CALL_TIMEOUT
    chosen.networking.connect_timeout = _CONNECT_TIMEOUT
    chosen.watching.chunk_size = _FIRST_CHUNK
    chosen.queueing.idle_timeout = _IDLE_TIMEOUT
    chosen.watching.field_selectors["", "v1", "secrets"] = SECRETS_FIELD_SELECTOR
    port, context = settings.webhook.listen_port, plane.certificate.context
    chosen.admission.server = WebhookServer(port, context, plane.reviews.answers)
    return chosen


def write_logs(settings: ObservingSettings) -> None:
    """Configure logging: our own loggers at the configured level, libraries' at WARNING."""
    handler = logging.StreamHandler(sys.stderr)
    plain = Lines("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if settings.log_as_json else plain)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("pannier_operator").setLevel(_LEVELS[settings.log_level])
    logging.getLogger("kopf.objects").setLevel(logging.CRITICAL)  # kopf logs each refusal as an ERROR


if __name__ == "__main__":
    main()
