"""Posts spans to Zipkin, as JSON of its version 2 (https://zipkin.io/zipkin-api/)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.request import Request, urlopen

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

_TIMEOUT_S: Final = 10.0


class ZipkinExporter(SpanExporter):
    """Exports spans to one URL. Spans that it does not take are lost, as with other exporters."""

    def __init__(self, url: str, service_name: str):
        """`url` begins with http:// or https://."""
        self._url = url
        self._service_name = service_name

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        body = json.dumps([self._encoded(span) for span in spans]).encode()
        request = Request(self._url, body, {"content-type": "application/json"})
        try:
            with urlopen(request, timeout=_TIMEOUT_S) as answer:
                answer.read(1)
        except (OSError, ValueError):
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def _encoded(self, span: ReadableSpan) -> dict[str, Any]:
        context = span.get_span_context()
        assert context is not None
        begun = (span.start_time or 0) // 1000
        encoded: dict[str, Any] = {
            "traceId": f"{context.trace_id:032x}",
            "id": f"{context.span_id:016x}",
            "name": span.name,
            "kind": "SERVER",
            "timestamp": begun,
            "duration": max(1, (span.end_time or 0) // 1000 - begun),
            "localEndpoint": {"serviceName": self._service_name},
            "tags": {key: str(value) for key, value in (span.attributes or {}).items()},
        }
        if span.parent is not None:
            encoded["parentId"] = f"{span.parent.span_id:016x}"
        if not span.status.is_ok:
            encoded["tags"]["error"] = "true"
        return encoded
