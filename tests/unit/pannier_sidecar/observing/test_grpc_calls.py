"""What is recorded about a gRPC call: its status, even if it was cancelled, and its span."""

from __future__ import annotations

import asyncio

import pytest

from pannier_sidecar.grpc_api.status import StatusError
from pannier_sidecar.observing.grpc_calls import STATUSES, counter, observe
from pannier_sidecar.observing.metrics import Metrics
from pannier_sidecar.observing.tracing import Span, Tracer

METHOD = "/a.Service/Call"


def counted(metrics: Metrics, status: str) -> bool:
    labels = f'app_id="shop",grpc_server_method="{METHOD}",grpc_server_status="{status}"'
    return f"dapr_grpc_io_server_completed_rpcs{{{labels}}} 1" in metrics.page().decode()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StatusError(10, "somebody else wrote first"), "Aborted"),
        (StatusError(16, "no token"), "Unauthenticated"),
        (asyncio.CancelledError(), "Canceled"),
        (RuntimeError("a defect"), "Unknown"),
    ],
)
async def test_a_call_that_fails_is_counted_with_its_status(error: BaseException, status: str) -> None:
    async def answer(message: bytes, headers: dict[bytes, bytes]) -> bytes:
        raise error

    metrics = Metrics("shop")
    with pytest.raises(type(error)):
        await observe(METHOD, answer, metrics, Tracer(), logs_calls=False)(b"", {})
    assert counted(metrics, status)


async def test_a_successful_call_is_answered_as_before() -> None:
    metrics = Metrics("shop")
    assert await observe(METHOD, echo, metrics, Tracer(), logs_calls=False)(b"hello", {}) == b"hello"
    assert counted(metrics, "OK")


@pytest.mark.parametrize("status", [0, 1, 14])
def test_a_call_that_no_wrapper_sees_is_counted_alike(status: int) -> None:
    metrics = Metrics("shop")
    counter(metrics, METHOD)(status, 0.001)
    assert counted(metrics, STATUSES[status])
    counter(metrics, METHOD)(status, 0.001)
    assert not counted(metrics, STATUSES[status])  # twice
    counter(None, METHOD)(status, 0.001)


async def test_only_what_is_enabled_is_wrapped() -> None:
    assert observe(METHOD, echo, None, Tracer(), logs_calls=False) is echo


async def test_a_span_takes_up_the_callers_trace() -> None:
    class Recording(Tracer):
        is_exporting = True
        begun: list[tuple[str, str | None]] = []

        def begin(self, name, traceparent, tracestate, attributes):  # type: ignore[no-untyped-def]
            self.begun.append((name, traceparent))
            return Span(traceparent or "")

    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await observe(METHOD, echo, None, Recording(), logs_calls=False)(b"", {b"traceparent": parent.encode()})
    assert Recording.begun == [(METHOD, parent)]


def test_every_status_code_has_a_name() -> None:
    assert len(STATUSES) == 17


async def echo(message: bytes, headers: dict[bytes, bytes]) -> bytes:
    return message
