"""The gRPC status codes of errors."""

from __future__ import annotations

from enum import IntEnum


class GrpcCode(IntEnum):
    """The gRPC status codes that state calls use."""

    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    PERMISSION_DENIED = 7
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
