"""`grpc.health.v1.Health` (https://github.com/grpc/grpc/blob/master/doc/health-checking.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protobuf import MalformedMessageError, decode, encode
from .messages import HealthCheckRequest, HealthCheckResponse
from .method import Method
from .status import StatusError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..http2.headers import Headers
    from ..runtime import Runtime

SERVICE = "grpc.health.v1.Health"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
NOT_FOUND = 5
PAUSE_S = 1.0
"""Seconds between two checks for a Watch call."""


def methods(runtime: Runtime, services: Collection[str]) -> Mapping[str, Method]:
    """Return the methods. `services` are the services whose health can be asked for, besides the sidecar's (the empty
    name).
    """

    def status(message: bytes) -> int:
        try:
            name = decode(HealthCheckRequest, message).service
        except MalformedMessageError as error:
            raise StatusError(13, f"the request is no HealthCheckRequest: {error}") from error
        if name and name not in services:
            return SERVICE_UNKNOWN
        return SERVING if runtime.is_loaded else NOT_SERVING

    async def check(message: bytes, headers: Headers) -> bytes:
        found = status(message)
        if found == SERVICE_UNKNOWN:
            raise StatusError(NOT_FOUND, f"unknown service; known ones: {', '.join(sorted(services))}")
        return encode(HealthCheckResponse(found))

    async def watch(message: bytes, headers: Headers) -> bytes:
        return encode(HealthCheckResponse(status(message)))

    return {"Check": Method(check), "Watch": Method(watch, poll_interval=PAUSE_S)}
