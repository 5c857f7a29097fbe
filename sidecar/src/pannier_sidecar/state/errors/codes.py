"""The gRPC status codes of errors."""

from __future__ import annotations

from enum import IntEnum


class GrpcCode(IntEnum):
    """The gRPC status codes of failed calls. Pluggable components may answer with any of them."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    @property
    def name_in_go(self) -> str:
        """The name that Go prints, and so Dapr: `DataLoss`."""
        return "Canceled" if self is GrpcCode.CANCELLED else self.name.title().replace("_", "")
