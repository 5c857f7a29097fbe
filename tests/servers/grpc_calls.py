"""Calls of our gRPC services, by grpcio."""

from __future__ import annotations

from typing import Any

import grpc
from servers.grpc_protos import methods

PATIENCE_S = 30


def unary(channel: grpc.Channel, service: str, method: str) -> tuple[Any, Any]:
    """Return the class of a method's requests, and a function that calls the method with a request."""
    request, answer = methods(service)[method]
    return request, channel.unary_unary(f"/{service}/{method}", request.SerializeToString, answer.FromString)


def ask(port: int, service: str, method: str, *, waits: bool = False, **fields: Any) -> Any:
    """Return the answer to a request with these fields. `waits`: until somebody listens at the port."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        request, call = unary(channel, service, method)
        return call(request(**fields), timeout=PATIENCE_S, wait_for_ready=waits)


def outcome(port: int, service: str, method: str, **fields: Any) -> tuple[grpc.StatusCode, str]:
    """Return the status of the answer, and its message."""
    try:
        ask(port, service, method, **fields)
    except grpc.RpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""
