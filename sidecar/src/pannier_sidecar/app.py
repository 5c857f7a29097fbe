"""The composition root: load, open, serve, drain, close."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from pannier_sidecar import __version__
from pannier_sidecar.access import AccessControl
from pannier_sidecar.grpc_api.connection import GrpcConnection
from pannier_sidecar.grpc_api.limits import Limits as GrpcLimits
from pannier_sidecar.grpc_api.listener import GrpcListener
from pannier_sidecar.grpc_api.served import serve
from pannier_sidecar.grpc_api.services import guarded as guarded_grpc
from pannier_sidecar.http_api.asgi import Documentation
from pannier_sidecar.http_api.calls import HttpApi
from pannier_sidecar.http_api.cors import guarded, passes
from pannier_sidecar.http_api.fast_path import FastPath
from pannier_sidecar.http_api.limits import Limits as HttpLimits
from pannier_sidecar.http_api.messages import Answer
from pannier_sidecar.http_api.profiles import PROFILES
from pannier_sidecar.http_api.server import HttpServer
from pannier_sidecar.listening import addresses_of, is_exposed, max_connections
from pannier_sidecar.loading.resolving import ResolutionContext
from pannier_sidecar.loading.supervisor import StoreSupervisor
from pannier_sidecar.network import answers
from pannier_sidecar.observing.exposition import CONTENT_TYPE
from pannier_sidecar.observing.grpc_calls import counter as count_grpc
from pannier_sidecar.observing.grpc_calls import observe as observe_grpc
from pannier_sidecar.observing.http_calls import observe, with_trace
from pannier_sidecar.observing.metrics import Metrics, Unobserved
from pannier_sidecar.observing.scrapes import Scrapes
from pannier_sidecar.observing.tracing import make_tracer
from pannier_sidecar.runtime import Runtime
from pannier_sidecar.secret_reader import SecretReader
from pannier_sidecar.serving import Budget
from pannier_sidecar.settings import EVERYWHERE
from pannier_sidecar.state.errors import IllegalKeyError
from pannier_sidecar.state.limits import Limits as StateLimits
from pannier_sidecar.state.service import StateService

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

    from pannier_sidecar.grpc_api.method import Method
    from pannier_sidecar.http_api.messages import Call
    from pannier_sidecar.listening import Listeners
    from pannier_sidecar.loading.folder import FolderWatch, Reading
    from pannier_sidecar.loading.planning import Plan
    from pannier_sidecar.settings import LimitSettings, Settings
    from pannier_sidecar.state.directory import Directory
    from pannier_sidecar.state.errors import StateError

    FindMethod = Callable[[bytes, dict[bytes, bytes]], Method]
    HttpAnswer = Callable[[Call], Awaitable[Answer]]

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

    def __init__(self, settings: Settings, listeners: Listeners, source: FolderWatch | Reading):
        """Wire up the parts; nothing is opened yet. `listeners` are bound, and closed at the end."""
        self._settings = settings
        self._listeners = listeners
        self._stopping = asyncio.Event()
        self._forced = asyncio.Event()
        place = settings.place
        self._metrics = Metrics(settings.app.id, place.namespace, __version__) if listeners.metrics else None
        self._scrapes = Scrapes(self._metrics.page) if self._metrics else None
        observer = self._metrics or Unobserved()
        context = ResolutionContext.of(settings)
        self.supervisor = StoreSupervisor(source, context, observer, poll_interval=settings.components.poll_interval)
        self._budget = Budget(settings.limits.all_bodies, max_connections())
        answers.allow(settings.limits.largest_answer)
        self._service = StateService(
            self.supervisor.directory,
            observer,
            _state_limits(settings.limits),
            self._budget,
        )
        self._service.record_failure = self.supervisor.record_failure
        self.supervisor.is_short = self._service.is_short
        self.supervisor.on_change = self._take_over
        self._is_wrong = False
        if settings.profile == "dapr":
            self.supervisor.on_invalid = self._end_invalid
        self._tracer = make_tracer(place.environment, settings.app.id)
        self._server = HttpServer(_http_limits(settings.limits), self._budget)
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
            secret_stores=lambda: self.supervisor.secret_stores,
            secrets=SecretReader(
                lambda: self.supervisor.secrets, self._metrics or Unobserved(), is_exact=settings.profile == "dapr"
            ),
            claims_as_dapr=settings.profile == "dapr",
        )

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
        await self._listen()
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
        await self._server.stop(0.0 if is_forced else grace)
        await self.supervisor.stop(0.0 if is_forced else CLOSING_PATIENCE)
        self._listeners.close()
        if self._tracer.is_exporting:
            await self._export_the_rest()
        log.debug("stopped")
        if self._settings.profile == "dapr" and not is_forced:
            log.info("Daprd shutdown gracefully")
        return 1 if is_forced or self._is_wrong else 0

    async def _export_the_rest(self) -> None:
        """Export the remaining spans; a collector that is down must not delay the shutdown."""
        thread = Thread(target=self._tracer.close, daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, EXPORT_PATIENCE)

    def _force(self) -> None:
        self._forced.set()
        self._stopping.set()

    def _take_over(self, directory: Directory) -> None:
        self._service.directory = directory
        if self._metrics is not None:
            self._metrics.know_stores([*directory.served, *directory.waiting])

    async def _listen(self) -> None:
        settings = self._settings
        api = HttpApi(self._service, self._runtime, PROFILES[settings.profile], settings.api_token)
        api.on_error = self._count_error
        api.documentation = Documentation(api)
        answer = self._guarded(self._listeners.api, api.answer)
        answer = observe(answer, self._metrics, self._tracer, logs_calls=settings.log.api_calls)
        await self._server.listen(self._listeners.api, answer, self._fast_path(api))
        if self._listeners.grpc:
            await self._listen_for_grpc()
        if self._listeners.public:
            answer = self._guarded(self._listeners.public, partial(api.answer, is_public=True))
            await self._server.listen(self._listeners.public, answer)
        if self._listeners.metrics:
            answer = self._guarded(self._listeners.metrics, self._answer_scrape)
            await self._server.listen(self._listeners.metrics, answer)

    def _fast_path(self, api: HttpApi) -> FastPath | None:
        """Return the fast path of the API's port; None where each call is traced or logged."""
        if not self._may_be_fast():
            return None
        sockets = self._listeners.api
        may_pass: Callable[[Call], bool] = _always
        if _is_on_ports(sockets):
            may_pass = partial(passes, access_control(self._settings, is_exposed=is_exposed(sockets)))
        counter = self._metrics.request_counter if self._metrics else _not_counted
        traced = partial(with_trace, self._tracer)
        return FastPath(api, may_pass, counter, traced, self._settings.limits.max_body_size)

    def _may_be_fast(self) -> bool:
        """Return whether calls may skip the layers that log and trace them."""
        return not self._tracer.is_exporting and not self._settings.log.api_calls

    def _count_error(self, error: StateError) -> None:
        if self._metrics is not None:
            code = error.dapr_code if self._settings.profile == "dapr" else None
            self._metrics.error_answered(code or error.code, is_about_a_key=isinstance(error, IllegalKeyError))

    async def _listen_for_grpc(self) -> None:
        settings = self._settings
        services = serve(
            self._service, self._runtime, settings.api_token, self._count_error, is_exact=settings.profile == "dapr"
        )
        services.wrap(
            lambda method, answer: observe_grpc(
                method, answer, self._metrics, self._tracer, logs_calls=settings.log.api_calls
            ),
            partial(count_grpc, self._metrics) if self._may_be_fast() else None,
        )
        find: FindMethod = services.find
        if _is_on_ports(self._listeners.grpc):
            # Treated as exposed: no browser speaks HTTP/2 without TLS, and gRPC clients may put any word into
            # :authority.
            find = guarded_grpc(find, access_control(settings, is_exposed=True))
        listener = GrpcListener(find, _grpc_limits(settings.limits), self._service.pace, budget=self._budget)
        await self._server.serve(self._listeners.grpc, listener, lambda: GrpcConnection(listener))

    def _guarded(self, sockets: Sequence[socket.socket], answer: HttpAnswer) -> HttpAnswer:
        """Return a function that answers the same calls, but refuses pages of other sites.

        On Unix sockets, which no browser reaches, the result is `answer` itself.
        """
        if not _is_on_ports(sockets):
            return answer
        access = access_control(self._settings, is_exposed=is_exposed(sockets))
        return guarded(answer, access, answers_as_dapr=self._settings.profile == "dapr")

    async def _answer_scrape(self, call: Call) -> Answer:
        """Answer any path on the metrics port: Dapr has its metrics at `/`, most other programs at `/metrics`."""
        if self._scrapes is None or call.method not in (b"GET", b"HEAD"):
            return Answer(405, headers=((b"allow", b"GET"),))
        return Answer(200, self._scrapes.page(), CONTENT_TYPE)


def access_control(settings: Settings, *, is_exposed: bool) -> AccessControl:
    """Return the rules by which a port accepts hosts and origins."""
    environment, listen = settings.place.environment, settings.listen
    names = [environment.get(name, "") for name in ("HOSTNAME", "POD_IP", "POD_IPS")]
    own = [settings.place.pod_name or "", *",".join(names).split(","), *listen.addresses]
    if settings.place.mode == "kubernetes" and settings.place.namespace:
        own.append(f"{settings.app.id}.{settings.place.namespace}")  # as an app's Service is usually named
    return AccessControl(
        is_exposed,
        frozenset(name.lower() for name in (*own, *listen.public_addresses, *settings.metrics_addresses) if name)
        - frozenset(EVERYWHERE),
        (settings.place.namespace or "").lower() if settings.place.mode == "kubernetes" else "",
        settings.access.allowed_hosts,
        settings.access.allowed_origins,
    )


def _always(_: Call) -> bool:
    return True


def _not_counted(method: bytes, path: bytes) -> Callable[[int, float], None]:
    return lambda status, seconds: None


def _is_on_ports(sockets: Sequence[socket.socket]) -> bool:
    return any(bound.family != socket.AF_UNIX for bound in sockets)


def _http_limits(limits: LimitSettings) -> HttpLimits:
    return HttpLimits(body=limits.max_body_size, header_section=limits.read_buffer_size)


def _grpc_limits(limits: LimitSettings) -> GrpcLimits:
    return GrpcLimits(message=limits.max_body_size, header_list=limits.read_buffer_size)


def _state_limits(limits: LimitSettings) -> StateLimits:
    return StateLimits(answer=limits.largest_answer, items=limits.max_request_items, cursor=limits.max_cursor_length)


def run_loop(main: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine to its end, on uvloop if it is installed."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    with suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None
