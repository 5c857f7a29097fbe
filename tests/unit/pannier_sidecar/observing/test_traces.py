"""W3C trace contexts are parsed strictly, returned if nothing is exported, and continued if spans are."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import grpc
import pytest
from unit.tables import each_row

from pannier_crds.secret import Secret
from pannier_crds.tracing_options import Header, Otel, TracingOptions
from pannier_sidecar.observing.exporting import ExportingTracer
from pannier_sidecar.observing.http_calls import method_and_path, observe
from pannier_sidecar.observing.metrics import Metrics
from pannier_sidecar.observing.traceparent import parse
from pannier_sidecar.observing.tracing import Tracer, make_tracer

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONTEXT = f"00-{TRACE}-{SPAN}-01"


def test_a_context_is_read_and_written_back():
    parent = parse(CONTEXT)
    assert parent is not None
    assert (parent.trace_id, parent.span_id, parent.is_sampled) == (TRACE, SPAN, True)
    assert str(parent) == CONTEXT


@each_row(
    "text",
    [
        "",
        "x",
        CONTEXT.upper(),
        CONTEXT + "-00",
        CONTEXT[:-1],
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f"01-{TRACE}-{SPAN}-01" + "-x" * 1000,
        CONTEXT + "\n",
    ],
)
def test_an_invalid_context_counts_as_none(text):
    assert parse(text) is None


def test_a_later_version_is_read_as_far_as_it_is_known():
    assert str(parse(f"cc-{TRACE}-{SPAN}-01-what-comes-later")) == CONTEXT


async def answer(call: SimpleNamespace) -> SimpleNamespace:
    return ANSWER


ANSWER = SimpleNamespace(status=200, headers=((b"etag", b"1"),))


def a_call(**headers: str) -> SimpleNamespace:
    raw = {name.encode(): text.encode() for name, text in headers.items()}
    return SimpleNamespace(method=b"GET", path=b"/v1.0/state/orders/k", headers=raw)


@pytest.mark.parametrize("metrics", [None, Metrics("shop")])
async def test_without_an_exporter_the_context_is_returned(metrics):
    seen = observe(answer, metrics, Tracer())
    answered = await seen(a_call(traceparent=CONTEXT, tracestate="a=b"))
    assert answered.headers == ((b"etag", b"1"), (b"traceparent", CONTEXT.encode()), (b"tracestate", b"a=b"))
    assert ANSWER.headers == ((b"etag", b"1"),)  # answers are shared


@pytest.mark.parametrize("context", ["nonsense", CONTEXT + "\r\nx: y"])
async def test_a_wrong_context_is_dropped(context):
    answered = await observe(answer, None, Tracer())(a_call(traceparent=context))
    assert answered is ANSWER


async def test_a_call_without_a_context_costs_no_copy():
    assert await observe(answer, Metrics("shop"), Tracer())(a_call()) is ANSWER


async def test_a_failing_call_fails_as_before():
    async def fails(call: SimpleNamespace) -> SimpleNamespace:
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError):
        await observe(fails, Metrics("shop"), Tracer(), method_and_path)(a_call())


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_exported_unless_the_environment_asks_for_it(environment):
    assert not make_tracer(environment, "shop").is_exporting


@pytest.fixture
def collector() -> Iterator[SimpleNamespace]:
    """An OTLP endpoint that keeps what it gets."""
    got: list[bytes] = []
    asked: list[tuple[str, dict[str, str]]] = []

    class Collect(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            asked.append((self.path, dict(self.headers)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Collect)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield SimpleNamespace(
        url=f"http://127.0.0.1:{server.server_port}", address=f"127.0.0.1:{server.server_port}", got=got, asked=asked
    )
    server.shutdown()
    thread.join()
    server.server_close()


async def test_spans_reach_the_collector_and_continue_the_trace(collector, monkeypatch):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    tracer = make_tracer({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}, "shop")
    assert isinstance(tracer, ExportingTracer)
    seen = observe(answer, None, tracer)
    answered = await seen(a_call(traceparent=CONTEXT, tracestate="a=b"))
    await seen(a_call())
    tracer.close()

    own = parse(dict(answered.headers)[b"traceparent"].decode())
    assert own is not None and own.trace_id == TRACE and own.span_id != SPAN
    (resource,) = [
        spans for body in collector.got for spans in ExportTraceServiceRequest.FromString(body).resource_spans
    ]
    assert ("service.name", "shop") in [(a.key, a.value.string_value) for a in resource.resource.attributes]
    continued, fresh = resource.scope_spans[0].spans
    assert continued.trace_id.hex() == TRACE and continued.parent_span_id.hex() == SPAN
    assert continued.trace_state == "a=b"
    assert fresh.trace_id.hex() != TRACE and not fresh.parent_span_id
    assert continued.name == "/v1.0/state/orders/k"
    assert {a.key: a.value.string_value for a in continued.attributes} == {
        "db.system": "state",
        "db.connection_string": "state",
        "db.name": "orders",
        "db.statement": "GET /v1.0/state/orders/k",
        "dapr.api": "GET /v1.0/state/orders/k",
        "dapr.protocol": "http",
        "dapr.status_code": "200",
    }


async def traced(options: TracingOptions, *contexts: str, environment: dict[str, str] | None = None) -> list[str]:
    """Answer a call in each of these contexts, export, and return the contexts of the answers."""
    tracer = make_tracer(environment or {}, "shop", options)
    seen = observe(answer, None, tracer)
    answers = [await seen(a_call(traceparent=context) if context else a_call()) for context in contexts]
    tracer.close()
    return [dict(each.headers)[b"traceparent"].decode() for each in answers]


async def test_a_configuration_names_the_collector(collector):
    headers = (Header("x-api-key", Secret("letmein")), Header("x-env", env="VALUE"), Header("x-unset", env="NOTHING"))
    otel = Otel(collector.address, "http", is_secure=False, headers=headers, timeout=5.0)
    await traced(TracingOptions(1.0, otel), "", environment={"VALUE": "v"})
    ((path, sent),) = collector.asked
    lower = {name.lower(): value for name, value in sent.items()}
    assert (path, lower["x-api-key"], lower["x-env"]) == ("/v1/traces", "letmein", "v") and "x-unset" not in lower
    elsewhere = Otel(f"{collector.address}/otlp/traces", "http", is_secure=False)
    await traced(TracingOptions(1.0, elsewhere), "")
    assert collector.asked[-1][0] == "/otlp/traces"


async def test_spans_are_posted_to_zipkin(collector):
    (continued, _) = await traced(TracingOptions(1.0, zipkin=f"{collector.url}/api/v2/spans"), CONTEXT, "")
    ((path, _),) = collector.asked
    first, fresh = json.loads(collector.got[0])
    assert path == "/api/v2/spans"
    own = parse(continued)
    assert own is not None
    assert (first["traceId"], first["parentId"], first["id"]) == (TRACE, SPAN, own.span_id)
    assert (first["name"], first["kind"]) == ("/v1.0/state/orders/k", "SERVER")
    assert first["localEndpoint"] == {"serviceName": "shop"} and first["tags"]["dapr.status_code"] == "200"
    assert first["timestamp"] > 1_600_000_000_000_000 and first["duration"] >= 1
    assert fresh["traceId"] != TRACE and "parentId" not in fresh


async def test_spans_are_lines_of_the_log(collector, caplog, monkeypatch):
    caplog.set_level("INFO")
    options = TracingOptions(1.0, logs_spans=True)
    (continued, _) = await traced(options, CONTEXT, "")
    own = parse(continued)
    assert own is not None
    first, fresh = (record.getMessage() for record in caplog.records)
    assert first.startswith(f"[/v1.0/state/orders/k] Trace: {TRACE} Span: {SPAN}/{own.span_id} Time: [20")
    assert f" Span: {'0' * 16}/" in fresh and TRACE not in fresh
    assert not collector.asked
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    await traced(options, "", environment={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
    assert len(caplog.records) == 3 and len(collector.asked) == 1  # the collector of the environment gets them too


async def test_spans_reach_a_collector_over_grpc():
    got: list[bytes] = []

    def take(request: bytes, context: grpc.ServicerContext) -> bytes:
        got.append(request)
        return b""

    server = grpc.server(ThreadPoolExecutor(1))
    path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    handler = grpc.method_handlers_generic_handler(
        path.split("/")[1], {"Export": grpc.unary_unary_rpc_method_handler(take)}
    )
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        await traced(TracingOptions(1.0, Otel(f"127.0.0.1:{port}", "grpc", is_secure=False)), "")
    finally:
        server.stop(0)
    assert b"/v1.0/state/orders/k" in got[0]


async def test_only_the_share_that_is_sampled_is_exported(collector):
    otel = Otel(collector.address, "http", is_secure=False)
    unsampled = CONTEXT[:-1] + "0"
    # Without a rate, Dapr's 0.0001 counts: these are traced only if the caller's trace is.
    first, second = await traced(TracingOptions(None, otel), CONTEXT, unsampled)
    assert (first[-2:], second[-2:]) == ("01", "00")
    assert len(collector.got) == 1
    assert not make_tracer({}, "shop", TracingOptions(0.0, otel)).is_exporting


def test_a_collector_of_the_environment_alone_gets_every_trace(collector, monkeypatch):
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    tracer = make_tracer(environment, "shop", TracingOptions(0.0))
    assert not tracer.is_exporting  # a rate of 0 switches traces off
    for name in ("OTEL_TRACES_SAMPLER", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    tracer = make_tracer(environment, "shop", TracingOptions())
    assert isinstance(tracer, ExportingTracer)
    span = tracer.begin("x", None, None, {})
    assert span is not None
    own = parse(span.traceparent)
    assert own is not None and own.is_sampled
    span.end(200)
    tracer.close()
    assert len(collector.got) == 1
