"""Spans of calls, exported with OpenTelemetry if a Configuration or the environment asks for that. Without an exporter,
no spans are made and nothing is imported: an incoming trace context is returned unchanged.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from pannier_sidecar.observing.traceparent import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_crds.tracing_options import TracingOptions

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


def make_tracer(environment: Mapping[str, str], app_id: str, options: TracingOptions | None = None) -> Tracer:
    """Return the tracer that a Configuration and the environment ask for. The environment's collector counts where the
    Configuration names none, as in Dapr.
    """
    is_off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if is_off or (options is not None and options.sampling_rate == 0):
        return Tracer()
    is_named = options is not None and options.names_exporter
    if not is_named and not asks_for_export(environment):
        return Tracer()
    try:
        from pannier_sidecar.observing.exporting import ExportingTracer  # imported here for OpenTelemetry

        return ExportingTracer(environment.get("OTEL_SERVICE_NAME") or app_id, environment, options)
    except ImportError as error:
        extra = "otel-grpc" if "grpc" in str(error) else "otel"
        log.warning("traces are not exported: %s; pip install 'pannier-sidecar[%s]'", error, extra)
        return Tracer()


def asks_for_export(environment: Mapping[str, str]) -> bool:
    """Return whether the OTEL_* variables name a collector."""
    if environment.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return False
    return any(environment.get(name) for name in _ENDPOINTS)


def _error_status() -> Any:
    from opentelemetry.trace import Status, StatusCode

    return Status(StatusCode.ERROR)
