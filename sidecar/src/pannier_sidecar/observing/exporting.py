"""Records a span for each call that is sampled, and exports it to a collector of OpenTelemetry or to Zipkin.

Imported only where spans are exported. An exporter runs in a thread of its own, and drops spans if it cannot keep up.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, TraceState, set_span_in_context

from pannier_crds.secret import reveal
from pannier_crds.tracing_options import DEFAULT_SAMPLING_RATE, TracingOptions
from pannier_sidecar.observing.traceparent import MAX_STATE_CHARS, TraceParent, parse
from pannier_sidecar.observing.tracing import Span, Tracer, asks_for_export

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.sampling import Sampler

    from pannier_crds.tracing_options import Header, Otel

log = logging.getLogger(__name__)

_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


class ExportingTracer(Tracer):
    """Records spans and exports them."""

    is_exporting = True

    def __init__(self, service_name: str, environment: Mapping[str, str], options: TracingOptions | None = None):
        """Export to what the options name, or else to what the OTEL_* variables name. Raises ImportError without the
        package of an exporter.
        """
        resource = Resource.create({"service.name": service_name})
        self._provider = TracerProvider(resource=resource, sampler=_sampler(options))
        for exporter in _exporters(service_name, environment, options or TracingOptions()):
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("pannier")

    def begin(
        self, name: str, traceparent: str | None, tracestate: str | None, attributes: Mapping[str, str]
    ) -> Span | None:
        parent = parse(traceparent) if traceparent else None
        context = _context(parent, tracestate) if parent else None
        recorded = self._tracer.start_span(name, context, kind=SpanKind.SERVER, attributes=dict(attributes))
        own = recorded.get_span_context()
        flags = int(own.trace_flags)
        return Span(str(TraceParent(f"{own.trace_id:032x}", f"{own.span_id:016x}", flags)), recorded)

    def close(self) -> None:
        self._provider.shutdown()


class LogExporter(SpanExporter):
    """Writes a line of the log for each span, in Dapr's words."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            context = span.get_span_context()
            assert context is not None
            parent = 0 if span.parent is None else span.parent.span_id
            ids = f"{context.trace_id:032x} Span: {parent:016x}/{context.span_id:016x}"
            log.info("[%s] Trace: %s Time: [%s -> %s]", span.name, ids, _shown(span.start_time), _shown(span.end_time))
        return SpanExportResult.SUCCESS


def _shown(nanoseconds: int | None) -> str:
    return datetime.fromtimestamp((nanoseconds or 0) / 1e9, UTC).isoformat(" ", "microseconds")


def _sampler(options: TracingOptions | None) -> Sampler | None:
    """Return the sampler; None for the one that OTEL_TRACES_SAMPLER names, if a Configuration says nothing of traces.

    A collector that the environment alone names gets all traces, as in Dapr.
    """
    if options is None or options == TracingOptions():
        return None
    rate = options.sampling_rate
    if rate is None:
        rate = DEFAULT_SAMPLING_RATE if options.names_exporter else 1.0
    return ParentBased(TraceIdRatioBased(rate))


def _exporters(service_name: str, environment: Mapping[str, str], options: TracingOptions) -> Iterator[SpanExporter]:
    if options.logs_spans:
        yield LogExporter()
    if options.zipkin:
        from pannier_sidecar.observing.zipkin import ZipkinExporter

        yield ZipkinExporter(options.zipkin, service_name)
    if options.otel is not None:
        yield (
            _over_grpc(options.otel, environment)
            if options.otel.protocol == "grpc"
            else _over_http(options.otel, environment)
        )
    elif not options.zipkin and asks_for_export(environment):
        protocol = next(filter(None, map(environment.get, _PROTOCOLS)), "")
        if protocol.strip().lower() == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

            yield GrpcExporter()
        else:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            yield OTLPSpanExporter()


def _over_http(otel: Otel, environment: Mapping[str, str]) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    host, slash, path = otel.address.partition("/")
    url = f"http{'s' if otel.is_secure else ''}://{host}/{path if slash else 'v1/traces'}"
    return OTLPSpanExporter(endpoint=url, headers=_headers(otel.headers, environment), timeout=otel.timeout)


def _over_grpc(otel: Otel, environment: Mapping[str, str]) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(
        endpoint=otel.address,
        insecure=not otel.is_secure,
        headers=_headers(otel.headers, environment),
        timeout=otel.timeout,
    )


def _headers(headers: tuple[Header, ...], environment: Mapping[str, str]) -> dict[str, str]:
    values = {}
    for header in headers:
        value = environment.get(header.env, "") if header.env else reveal(header.value)
        if value:
            values[header.name] = value
        else:
            log.warning("the header %s is not sent with traces: it has no value", header.name)
    return values


def _context(parent: TraceParent, tracestate: str | None) -> Any:
    state = TraceState.from_header([tracestate]) if tracestate and len(tracestate) <= MAX_STATE_CHARS else None
    remote = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), True, TraceFlags(parent.flags), state)
    return set_span_in_context(NonRecordingSpan(remote))
