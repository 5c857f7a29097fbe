"""Middleware for HTTP calls: metrics, tracing and, if enabled, the access log.

Only what is enabled is wrapped around the handler: metrics alone add about a microsecond.
"""

from __future__ import annotations

import logging
from copy import copy
from time import perf_counter
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pannier_sidecar.observing.metrics import Metrics
    from pannier_sidecar.observing.tracing import Span, Tracer

log = logging.getLogger(__name__)


class ObservedCall(Protocol):
    """The parts of a request that the middleware reads."""

    method: bytes
    path: bytes
    headers: dict[bytes, bytes]


class ObservedAnswer(Protocol):
    """The parts of a response that the middleware reads."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]


CallT = TypeVar("CallT", bound=ObservedCall)
AnswerT = TypeVar("AnswerT", bound=ObservedAnswer)


def observe(
    answer: Callable[[CallT], Awaitable[AnswerT]],
    metrics: Metrics | None,
    tracer: Tracer,
    shown_in_log: Callable[[CallT], str] | None = None,
) -> Callable[[CallT], Awaitable[AnswerT]]:
    """Wrap `answer` with metrics, tracing and, with `shown_in_log`, the access log. That returns how a call is shown;
    an empty text leaves it out.
    """
    observed = _tracing_middleware(answer, tracer) if tracer.is_exporting else answer
    if metrics is not None:
        observed = _metrics_middleware(observed, metrics, None if tracer.is_exporting else tracer)
    elif not tracer.is_exporting:
        observed = _propagation_middleware(observed, tracer)
    return observed if shown_in_log is None else _logging_middleware(observed, shown_in_log)


def _metrics_middleware(
    answer: Callable[[CallT], Awaitable[AnswerT]], metrics: Metrics, tracer: Tracer | None
) -> Callable[[CallT], Awaitable[AnswerT]]:
    """Count calls and, with `tracer`, return the trace context: in one wrapper, because each one costs time."""

    async def counted(call: CallT) -> AnswerT:
        started = perf_counter()
        answered = await answer(call)
        metrics.request_ended(call.method, call.path, answered.status, perf_counter() - started)
        if tracer is not None and b"traceparent" in call.headers:
            return _with_incoming_trace(answered, call, tracer)
        return answered

    return counted


def method_and_path(call: ObservedCall) -> str:
    """Return how a call is shown in the log unless something else is asked for."""
    return f"{call.method.decode('latin-1')} {call.path.decode('latin-1')}"


def _logging_middleware(
    answer: Callable[[CallT], Awaitable[AnswerT]], shown_in_log: Callable[[CallT], str]
) -> Callable[[CallT], Awaitable[AnswerT]]:
    async def logged(call: CallT) -> AnswerT:
        started = perf_counter()
        answered = await answer(call)
        taken = (perf_counter() - started) * 1000
        shown = shown_in_log(call)
        if shown:
            log.info("HTTP API called: %s -> %d in %.2f ms", shown, answered.status, taken)
        return answered

    return logged


def _propagation_middleware(
    answer: Callable[[CallT], Awaitable[AnswerT]], tracer: Tracer
) -> Callable[[CallT], Awaitable[AnswerT]]:
    async def propagated(call: CallT) -> AnswerT:
        answered = await answer(call)
        return _with_incoming_trace(answered, call, tracer) if b"traceparent" in call.headers else answered

    return propagated


def _with_incoming_trace(answered: AnswerT, call: ObservedCall, tracer: Tracer) -> AnswerT:
    span = tracer.begin("", _header(call, b"traceparent"), None, {})
    return answered if span is None else _with_trace(answered, _header(call, b"tracestate"), span)


def with_trace(tracer: Tracer, answered: AnswerT, traceparent: bytes) -> AnswerT:
    """Return the answer with the trace context of a call that has this `traceparent` and no `tracestate`. Only for a
    tracer that does not export.
    """
    span = tracer.begin("", traceparent.decode("latin-1"), None, {})
    return answered if span is None else _with_trace(answered, None, span)


def _tracing_middleware(
    answer: Callable[[CallT], Awaitable[AnswerT]], tracer: Tracer
) -> Callable[[CallT], Awaitable[AnswerT]]:
    async def traced(call: CallT) -> AnswerT:
        span = _begin(call, tracer)
        status = 500
        try:
            answered = await answer(call)
            status = answered.status
        finally:
            if span is not None:
                span.end(status)
        return answered if span is None else _with_trace(answered, _header(call, b"tracestate"), span)

    return traced


def _begin(call: ObservedCall, tracer: Tracer) -> Span | None:
    """Begin a span with the name and the attributes that Dapr 1.18 gives it."""
    path = call.path.decode("latin-1")
    statement = f"{call.method.decode('latin-1')} {path}"
    attributes = {"dapr.api": statement, "dapr.protocol": "http"}
    parts = path.split("/")
    if len(parts) > 3 and parts[2] == "state":
        attributes |= {
            "db.system": "state",
            "db.connection_string": "state",
            "db.statement": statement,
            "db.name": parts[3],
        }
    return tracer.begin(path, _header(call, b"traceparent"), _header(call, b"tracestate"), attributes)


def _with_trace(answered: AnswerT, state: str | None, span: Span) -> AnswerT:
    """Return a copy of the answer with the trace context; a copy, because answers are shared."""
    answered = copy(answered)
    headers = [*answered.headers, (b"traceparent", span.traceparent.encode())]
    if state:
        headers.append((b"tracestate", state.encode()))
    answered.headers = tuple(headers)
    return answered


def _header(call: ObservedCall, name: bytes) -> str | None:
    """Return the header's value; None if it is absent, or not printable ASCII and so cannot be passed on."""
    value = call.headers.get(name)
    if value is None:
        return None
    text = value.decode("latin-1")
    return text if text.isascii() and text.isprintable() else None
