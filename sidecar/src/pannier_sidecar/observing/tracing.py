"""Spans of calls, exported with OpenTelemetry if its environment variables ask for that. Without an exporter, no spans
are made and nothing is imported: an incoming trace context is returned unchanged.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from pannier_sidecar.observing.traceparent import MAX_STATE_CHARS, TraceParent, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_FIRST_FAILURE: Final = 500


class Span(Struct):
    """One call's part of a trace."""

    traceparent: str
    """The `traceparent` header for the next service, or for the caller."""
    recorded: Any = None

    def end(self, status: int) -> None:
        """Close the span with an HTTP status."""
        if self.recorded is None:
            return
        self.recorded.set_attribute("dapr.status_code", str(status))
        if status >= _FIRST_FAILURE:
            self.recorded.set_status(_error_status())
        self.recorded.end()


class Tracer:
    """Begins spans. This one records none: it returns the incoming context."""

    is_exporting = False

    def begin(
        self, name: str, traceparent: str | None, tracestate: str | None, attributes: Mapping[str, str]
    ) -> Span | None:
        """Begin the span of a call; None if the call belongs to no trace."""
        return Span(traceparent) if traceparent and parse(traceparent) else None

    def close(self) -> None:
        """Export the remaining spans."""


class ExportingTracer(Tracer):
    """Records a span for each call and exports it."""

    is_exporting = True

    def __init__(self, app_id: str):
        """Take all other settings from the OTEL_* variables. Raises ImportError if the extra is not installed."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create({"service.name": app_id})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("pannier")

    def begin(
        self, name: str, traceparent: str | None, tracestate: str | None, attributes: Mapping[str, str]
    ) -> Span | None:
        from opentelemetry.trace import SpanKind

        parent = parse(traceparent) if traceparent else None
        context = _context(parent, tracestate) if parent else None
        recorded = self._tracer.start_span(name, context, kind=SpanKind.SERVER, attributes=dict(attributes))
        own = recorded.get_span_context()
        flags = int(own.trace_flags)
        return Span(str(TraceParent(f"{own.trace_id:032x}", f"{own.span_id:016x}", flags)), recorded)

    def close(self) -> None:
        self._provider.shutdown()


def make_tracer(environment: Mapping[str, str], app_id: str) -> Tracer:
    """Return the tracer that the environment asks for."""
    if not _asks_for_export(environment):
        return Tracer()
    try:
        return ExportingTracer(environment.get("OTEL_SERVICE_NAME") or app_id)
    except ImportError as error:
        log.warning("traces are not exported: %s; pip install 'pannier-sidecar[otel]'", error)
        return Tracer()


def _asks_for_export(environment: Mapping[str, str]) -> bool:
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return False
    return any(environment.get(name) for name in _ENDPOINTS)


def _context(parent: TraceParent, tracestate: str | None) -> Any:
    from opentelemetry import trace
    from opentelemetry.trace import TraceState

    state = TraceState.from_header([tracestate]) if tracestate and len(tracestate) <= MAX_STATE_CHARS else None
    remote = trace.SpanContext(
        int(parent.trace_id, 16), int(parent.span_id, 16), True, trace.TraceFlags(parent.flags), state
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(remote))


def _error_status() -> Any:
    from opentelemetry.trace import Status, StatusCode

    return Status(StatusCode.ERROR)
