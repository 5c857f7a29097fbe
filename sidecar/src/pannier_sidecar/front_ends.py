"""All that the sidecar answers: its ports, and around each call access rules, metrics, traces and the access log."""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING, Final

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
from pannier_sidecar.listening import is_exposed
from pannier_sidecar.observing.exposition import CONTENT_TYPE
from pannier_sidecar.observing.grpc_calls import counter as count_grpc
from pannier_sidecar.observing.grpc_calls import observe as observe_grpc
from pannier_sidecar.observing.http_calls import method_and_path, observe, with_trace
from pannier_sidecar.observing.scrapes import Scrapes
from pannier_sidecar.observing.tracing import Tracer
from pannier_sidecar.settings import EVERYWHERE
from pannier_sidecar.state.errors import IllegalKeyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pannier_crds.configuration import Configuration
    from pannier_sidecar.grpc_api.method import Method
    from pannier_sidecar.grpc_api.services import Services
    from pannier_sidecar.http_api.listener import HttpListener
    from pannier_sidecar.http_api.messages import Call
    from pannier_sidecar.listening import Listeners
    from pannier_sidecar.observing.metrics import Metrics
    from pannier_sidecar.runtime import Runtime
    from pannier_sidecar.serving import Budget
    from pannier_sidecar.settings import LimitSettings, Settings
    from pannier_sidecar.state.errors import StateError
    from pannier_sidecar.state.service import StateService

    FindMethod = Callable[[bytes, dict[bytes, bytes]], Method]
    HttpAnswer = Callable[[Call], Awaitable[Answer]]

_HEALTH_PATHS: Final = frozenset((b"/v1.0/healthz", b"/v1.0/healthz/outbound"))
_HEALTH_SERVICE: Final = "/grpc.health."


class FrontEnds:
    """The ports of one sidecar."""

    def __init__(
        self,
        settings: Settings,
        listeners: Listeners,
        service: StateService,
        runtime: Runtime,
        metrics: Metrics | None,
        tracer: Tracer,
        budget: Budget,
    ):
        """Nothing listens yet. `listeners` are bound."""
        self._settings = settings
        self._listeners = listeners
        self._service = service
        self._metrics = metrics
        self._tracer = tracer
        self._budget = budget
        self._scrapes = Scrapes(metrics.page) if metrics else None
        self._server = HttpServer(_http_limits(settings.limits), budget)
        self._configuration: Configuration | None = None
        is_dapr = settings.profile == "dapr"
        self._api = HttpApi(service, runtime, PROFILES[settings.profile], settings.api_token)
        self._api.on_error = self._count_error
        self._api.documentation = Documentation(self._api)
        self._services: Services | None = None
        if listeners.grpc:
            self._services = serve(service, runtime, settings.api_token, self._count_error, is_exact=is_dapr)
        self._answer = self._guarded(listeners.api, self._api.answer)
        self._fast = self._make_fast_path()
        self._listener: HttpListener | None = None

    async def listen(self) -> None:
        """Begin to answer calls."""
        answer, fast_path = self._arrange()
        self._listener = await self._server.listen(self._listeners.api, answer, fast_path)
        self._listener.streams = self._api.streams
        if self._services is not None:
            await self._listen_for_grpc(self._services)
        if self._listeners.public:
            answer = self._guarded(self._listeners.public, partial(self._api.answer, is_public=True))
            await self._server.listen(self._listeners.public, answer)
        if self._listeners.metrics:
            answer = self._guarded(self._listeners.metrics, self._answer_scrape)
            await self._server.listen(self._listeners.metrics, answer)

    def configure(self, configuration: Configuration) -> None:
        """Answer and log calls as a Configuration says, from the next call on."""
        self._configuration = configuration
        self._rearrange()

    def trace_by(self, tracer: Tracer) -> None:
        """Have another tracer begin the spans, from the next call on."""
        self._tracer = tracer
        self._rearrange()

    def _rearrange(self) -> None:
        answer, fast_path = self._arrange()
        if self._listener is not None:
            self._listener.answer, self._listener.fast_path = answer, fast_path

    async def stop(self, grace: float) -> None:
        """Accept no more calls, and wait up to `grace` seconds for those in flight."""
        await self._server.stop(grace)

    def _arrange(self) -> tuple[HttpAnswer, FastPath | None]:
        """Put what each call passes through in place: once, so that no call has to ask what is configured. Return it
        for the calls of HTTP.
        """
        configuration, lists = self._configuration, None
        if configuration is not None:
            lists = configuration.api
            if self._settings.profile == "dapr":
                lists = lists.as_dapr_reads()
            self._api.restrict(lists)
            self._fast.forget_routes()
        is_fast = not self._tracer.is_exporting and not self._logs_calls
        if self._services is not None:
            self._services.arrange(self._observed, partial(count_grpc, self._metrics) if is_fast else None, lists)
        shown = self._shown_in_log if self._logs_calls else None
        return observe(self._answer, self._metrics, self._tracer, shown), self._fast if is_fast else None

    @property
    def _logs_calls(self) -> bool:
        given, configuration = self._settings.log.api_calls, self._configuration
        if given is None and configuration is not None:
            return configuration.api_logging.is_enabled
        return bool(given)

    def _shown_in_log(self, call: Call) -> str:
        logging = self._configuration.api_logging if self._configuration is not None else None
        if logging is None or not (logging.omits_health or logging.hides_paths):
            return method_and_path(call)
        if logging.omits_health and call.path in _HEALTH_PATHS:
            return ""
        if not logging.hides_paths:
            return method_and_path(call)
        from pannier_sidecar.http_api.operations import name_of  # few sidecars need it

        return name_of(self._api.paths, call)

    def _observed(self, method: str, answer: Callable[..., Awaitable[bytes]]) -> Callable[..., Awaitable[bytes]]:
        configuration = self._configuration
        omits = configuration is not None and configuration.api_logging.omits_health
        logs_calls = self._logs_calls and not (omits and method.startswith(_HEALTH_SERVICE))
        return observe_grpc(method, answer, self._metrics, self._tracer, logs_calls=logs_calls)

    def _make_fast_path(self) -> FastPath:
        """Return the fast path of the API's port, which is used where no call is traced or logged."""
        sockets = self._listeners.api
        may_pass: Callable[[Call], bool] = _always
        if _is_on_ports(sockets):
            may_pass = partial(passes, access_control(self._settings, is_exposed=is_exposed(sockets)))
        counter = self._metrics.request_counter if self._metrics else _not_counted
        return FastPath(
            self._api, may_pass, counter, partial(with_trace, Tracer()), self._settings.limits.max_body_size
        )

    def _count_error(self, error: StateError) -> None:
        if self._metrics is not None:
            code = error.dapr_code if self._settings.profile == "dapr" else None
            self._metrics.error_answered(code or error.code, is_about_a_key=isinstance(error, IllegalKeyError))

    async def _listen_for_grpc(self, services: Services) -> None:
        settings = self._settings
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
