"""The composition root: load, open, serve, drain, close."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from pannier_sidecar import __version__
from pannier_sidecar.front_ends import FrontEnds
from pannier_sidecar.listening import addresses_of, max_connections
from pannier_sidecar.loading.resolving import ResolutionContext
from pannier_sidecar.loading.supervisor import StoreSupervisor
from pannier_sidecar.network import answers
from pannier_sidecar.observing.exposition import BOUNDS_MS
from pannier_sidecar.observing.metrics import Metrics, Unobserved
from pannier_sidecar.observing.tracing import Tracer, make_tracer
from pannier_sidecar.runtime import Runtime
from pannier_sidecar.secret_reader import SecretReader
from pannier_sidecar.serving import Budget
from pannier_sidecar.state.limits import Limits as StateLimits
from pannier_sidecar.state.service import StateService

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from pannier_crds.configuration import Configuration
    from pannier_sidecar.listening import Listeners
    from pannier_sidecar.loading.configuration_files import ConfigurationFiles
    from pannier_sidecar.loading.folder import FolderWatch, Reading
    from pannier_sidecar.loading.plans import Plan
    from pannier_sidecar.settings import LimitSettings, Settings
    from pannier_sidecar.state.directory import Directory
    from pannier_sidecar.state.watching import Watching


log = logging.getLogger(__name__)

FORCE_DELAY: Final = 0.1
"""Seconds from a forced shutdown to the end, so that its answer still arrives (as in Dapr)."""
CLOSING_PATIENCE: Final = 1.0
"""Seconds for which a store stays open for calls that outlast the grace period."""
PROBE_TIMEOUT: Final = 1.0
"""Timeout of a store's health probe, in seconds."""
EXPORT_PATIENCE: Final = 3.0


class Sidecar:
    """One sidecar, from its settings to its end."""

    def __init__(
        self,
        settings: Settings,
        listeners: Listeners,
        source: FolderWatch | Reading,
        configuration: ConfigurationFiles | None = None,
    ):
        """Wire up the parts; nothing is opened yet. `listeners` are bound, and closed at the end. `configuration` has
        been read.
        """
        self._settings = settings
        self._listeners = listeners
        self._stopping = asyncio.Event()
        self._forced = asyncio.Event()
        place = settings.place
        self._metrics: Metrics | None = None
        if listeners.metrics:
            bounds = BOUNDS_MS if configuration is None else configuration.current.metrics.buckets_ms or BOUNDS_MS
            self._metrics = Metrics(settings.app.id, place.namespace, __version__, bounds)
        observer = self._metrics or Unobserved()
        context = ResolutionContext.of(settings)
        self._poll_interval: float | None = settings.components.poll_interval
        if configuration is not None and not configuration.current.reloads:
            self._poll_interval = None
        self.supervisor = StoreSupervisor(source, context, observer, poll_interval=self._poll_interval)
        budget = Budget(settings.limits.all_bodies, min(max_connections(), settings.limits.connections))
        answers.allow(settings.limits.largest_answer)
        self._service = StateService(
            self.supervisor.directory,
            observer,
            _state_limits(settings.limits),
            budget,
        )
        self._service.record_failure = self.supervisor.record_failure
        self._service.prepare_watching = partial(self._prepare_watching, budget.connections)
        self.supervisor.is_short = self._service.is_short
        self.supervisor.on_change = self._take_over
        self._is_wrong = False
        if settings.profile == "dapr":
            self.supervisor.on_invalid = self._end_invalid
        self._exchanging: set[asyncio.Task[None]] = set()
        self._former_tracers: list[Tracer] = []
        """Tracers whose last calls may not have ended yet."""
        self._tracer = self._make_tracer(None if configuration is None else configuration.current)
        self._runtime = Runtime(
            settings.app.id,
            __version__,
            self.supervisor.states,
            self._stop_by_call,
            settings.app.port,
            settings.app.protocol,
            ask=partial(self.supervisor.probe, PROBE_TIMEOUT),
            components_version=lambda: self.supervisor.version,
            status_key=lambda: self.supervisor.status_key,
            resiliencies=self.supervisor.resiliencies,
            secret_stores=lambda: self.supervisor.secret_stores,
            secrets=SecretReader(
                lambda: self.supervisor.secrets, self._metrics or Unobserved(), is_exact=settings.profile == "dapr"
            ),
            claims_as_dapr=settings.profile == "dapr",
        )
        self._front_ends = FrontEnds(
            settings, listeners, self._service, self._runtime, self._metrics, self._tracer, budget
        )
        self._configuration = configuration
        if configuration is not None:
            self._configure(None, configuration.current)
            configuration.on_change = self._configure
            self._runtime.configurations = configuration.states

    def read_components(self) -> Plan:
        """Read and validate the components without opening stores. Raises FolderUnreadableError."""
        return self.supervisor.read()

    async def start(self, patience: float) -> None:
        """Begin to answer calls. Return when each store is open, after `patience` seconds, or when asked to stop. A
        store that takes longer is opened while the others serve.
        """
        if self._metrics is not None:
            self._metrics.count_loaded = lambda: len(self.supervisor.directory.served)
        self.supervisor.start()
        await self._front_ends.listen()
        if self._configuration is not None and self._poll_interval is not None:
            self._configuration.start(self._poll_interval)
        await self._wait_until_ready(patience)
        self._runtime.is_loaded = True
        log.info("serving app %s on %s", self._settings.app.id, addresses_of(self._listeners.api))

    async def _wait_until_ready(self, patience: float) -> None:
        waits = [asyncio.create_task(self.supervisor.wait_ready(patience)), asyncio.create_task(self._stopping.wait())]
        _, others = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            other.cancel()

    def attach(self, attributes: Mapping[str, str]) -> None:
        """Attach attributes to the metadata."""
        for name, value in attributes.items():
            self._runtime.attach(name, value)

    def ask_to_stop(self, force: bool = False) -> None:
        """Start the shutdown; with `force`, without waiting for calls in flight."""
        if force:
            asyncio.get_running_loop().call_later(FORCE_DELAY, self._force)
        else:
            self._stopping.set()

    def _stop_by_call(self, force: bool) -> None:
        if force:
            log.info("Force shutdown requested, exiting immediately without graceful shutdown")
        else:
            log.info("Shutdown requested via API")
        self.ask_to_stop(force)

    def _end_invalid(self) -> None:
        """End gracefully because of an invalid component, with the exit code of a failure."""
        self._is_wrong = True
        self.ask_to_stop()

    @property
    def is_asked_to_stop(self) -> bool:
        return self._stopping.is_set()

    async def wait_until_asked_to_stop(self) -> None:
        await self._stopping.wait()

    async def stop(self) -> int:
        """Drain and close, and return the exit code: 0, or 1 if the end was forced."""
        block, grace = self._settings.stop.block, self._settings.stop.graceful
        if block and not self._forced.is_set():
            log.info("serving for %g s more before the end", block)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._forced.wait(), block)
        is_forced = self._forced.is_set()
        log.debug("stopping")
        if self._configuration is not None:
            await self._configuration.stop()
        await self._front_ends.stop(0.0 if is_forced else grace)
        await self._service.end_watches()
        await self.supervisor.stop(0.0 if is_forced else CLOSING_PATIENCE)
        self._listeners.close()
        for task in self._exchanging:
            task.cancel()
        exporting = [tracer for tracer in (self._tracer, *self._former_tracers) if tracer.is_exporting]
        await _export_the_rest(exporting)
        log.debug("stopped")
        if self._settings.profile == "dapr" and not is_forced:
            log.info("Daprd shutdown gracefully")
        return 1 if is_forced or self._is_wrong else 0

    def _force(self) -> None:
        self._forced.set()
        self._stopping.set()

    def _configure(self, before: Configuration | None, now: Configuration) -> None:
        """Put a Configuration into effect, as far as that is possible while calls are served."""
        self._front_ends.configure(now)
        if self._metrics is not None:
            # Imported here because few sidecars have a Configuration.
            from pannier_sidecar.observing.relabelling import labels_of, path_labels_of

            self._metrics.relabelling = labels_of(now.metrics)
            self._metrics.path_labels = path_labels_of(now.metrics)
        self._runtime.secrets.scopes = now.secret_scopes
        self._runtime.enabled_features = now.enabled_features
        if before is None or before.denied_components != now.denied_components:
            self.supervisor.deny(now.denies)
        if before is not None:
            log.info("the Configuration has changed and is in effect")
        if before is not None and before.tracing != now.tracing:
            task = asyncio.create_task(self._exchange_tracer(now), name="trace otherwise")
            self._exchanging.add(task)
            task.add_done_callback(self._exchanging.discard)

    def _make_tracer(self, configuration: Configuration | None) -> Tracer:
        options = None if configuration is None else configuration.tracing
        return make_tracer(self._settings.place.environment, self._settings.app.id, options)

    async def _exchange_tracer(self, configuration: Configuration) -> None:
        """Trace as a changed Configuration says; spans that were begun are exported to where they were."""
        made = await asyncio.to_thread(self._make_tracer, configuration)  # it may have to import OpenTelemetry
        if self._configuration is None or self._configuration.current is not configuration:
            _close_aside(made)  # there is a later one
            return
        before, self._tracer = self._tracer, made
        self._front_ends.trace_by(made)
        self._former_tracers.append(before)
        await asyncio.sleep(self._settings.stop.graceful)
        self._former_tracers.remove(before)
        _close_aside(before)

    def _prepare_watching(self, connections: int, watching: Watching) -> None:
        """Have watches counted, and leave half of the connections to other calls."""
        if self._metrics is not None:
            watching.observer = self._metrics.of_watches()
        watching.maximum = min(watching.maximum, connections // 2)

    def _take_over(self, directory: Directory) -> None:
        self._service.serve(directory)
        if self._metrics is not None:
            self._metrics.know_stores([*directory.served, *directory.waiting])


def _close_aside(tracer: Tracer) -> Thread:
    """Export the remaining spans in a thread, which ends with the process: a collector that is down delays nobody."""
    thread = Thread(target=tracer.close, daemon=True)
    thread.start()
    return thread


async def _export_the_rest(tracers: list[Tracer]) -> None:
    threads = [_close_aside(tracer) for tracer in tracers]
    deadline = monotonic() + EXPORT_PATIENCE
    for thread in threads:
        await asyncio.to_thread(thread.join, max(0.0, deadline - monotonic()))


def _state_limits(limits: LimitSettings) -> StateLimits:
    return StateLimits(
        answer=limits.largest_answer,
        items=limits.max_request_items,
        items_together=limits.items_together,
        cursor=limits.max_cursor_length,
    )


def run_loop(main: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine to its end, on uvloop if it is installed."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    with suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None
