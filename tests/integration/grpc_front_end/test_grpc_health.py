"""gRPC's health checks: of the sidecar or of one service, once or watched."""

import pytest
from integration.grpc_front_end.grpc_wire import Client, data, framed, serving

from pannier_sidecar.grpc_api import health
from pannier_sidecar.grpc_api.messages import HealthCheckRequest, HealthCheckResponse
from pannier_sidecar.protobuf import decode, encode

NOT_FOUND = 5


def begin(client: Client, method: str, service: str) -> int:
    stream = client.begin(method, service=health.SERVICE)
    client.send(data(stream, framed(encode(HealthCheckRequest(service)))))
    return stream


async def statuses(client: Client, stream: int, count: int) -> list[int]:
    """The first statuses that arrive on a stream."""
    size = len(framed(encode(HealthCheckResponse(health.SERVING))))
    while stream not in client.answers or len(client.answers[stream].data) < count * size:
        assert await client.read()
    messages = client.answers[stream].data
    return [decode(HealthCheckResponse, messages[at + 5 : at + size]).status for at in range(0, len(messages), size)]


async def test_a_service_serves_when_the_components_are_loaded(subtests: pytest.Subtests) -> None:
    async with serving() as here:
        for service in ("", "dapr.proto.runtime.v1.Dapr", "spec.proto.runtime.v1.Runtime"):
            with subtests.test(service or "all of them"):
                client = await here.connect()
                for is_loaded, status in ((False, health.NOT_SERVING), (True, health.SERVING)):
                    here.runtime.is_loaded = is_loaded
                    stream = begin(client, "Check", service)
                    assert (await client.answer(stream)).status == 0
                    assert await statuses(client, stream, 1) == [status]


async def test_an_unknown_service_is_not_found() -> None:
    async with serving() as here:
        client = await here.connect()
        answer = await client.answer(begin(client, "Check", "no.such.Service"))
        assert answer.status == NOT_FOUND
        assert "spec.proto.runtime.v1.Runtime" in answer.headers["grpc-message"]
        assert await statuses(client, begin(client, "Watch", "no.such.Service"), 1) == [health.SERVICE_UNKNOWN]


async def test_a_watch_reports_changes() -> None:
    async with serving() as here:
        client = await here.connect()
        here.runtime.is_loaded = False
        stream = begin(client, "Watch", "")
        assert await statuses(client, stream, 1) == [health.NOT_SERVING]
        here.runtime.is_loaded = True
        assert await statuses(client, stream, 2) == [health.NOT_SERVING, health.SERVING]
        assert not client.answers[stream].is_ended
