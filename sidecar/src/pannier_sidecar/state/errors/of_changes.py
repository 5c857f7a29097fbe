"""The errors of calls that change what is stored: increment, append and the like. Imported with the first such call."""

from __future__ import annotations

from .codes import GrpcCode
from .of_calls import StateError


class ChangeRefusedError(StateError):
    """What is stored does not allow the change, so nothing was written. The value itself is never part of the text."""

    http_status = 409
    grpc_code = GrpcCode.FAILED_PRECONDITION


class WrongKindError(ChangeRefusedError):
    """The stored value is of another kind than the call can change."""

    code = "ERR_STATE_WRONG_KIND"

    def __init__(self, key: str, found: str, wanted: str):
        super().__init__(
            f"the value of key {key} is {found}, not {wanted}", "save it as such first, or use another key"
        )


class OutOfRangeError(ChangeRefusedError):
    """The sum is beyond the floor, the ceiling, or 64 bits."""

    code = "ERR_STATE_OUT_OF_RANGE"

    def __init__(self, key: str, bound: str):
        super().__init__(f"the new value of key {key} would be {bound}; nothing was written")


class ListTooLargeError(ChangeRefusedError):
    """The list is, or would be, larger than a call may make it."""

    code = "ERR_STATE_LIST_TOO_LARGE"

    def __init__(self, key: str, why: str):
        super().__init__(f"the list of key {key} {why}", "give a smaller maxLength, or begin another list")


class ExpiryNotGivenError(ChangeRefusedError):
    """The stored value expires, the store cannot keep that, and the request does not say when the new one does."""

    code = "ERR_STATE_EXPIRY_NOT_GIVEN"

    def __init__(self, key: str):
        super().__init__(
            f"the value of key {key} expires, this store counts a TTL from each write on, and the request gives none",
            "send metadata ttlInSeconds: seconds from now, or -1 for never",
        )


class IdempotencyNotSupportedError(StateError):
    """The store cannot remember an Idempotency-Key in the transaction that makes the change."""

    code = "ERR_IDEMPOTENCY_KEY_NOT_SUPPORTED"
    http_status = 400
    grpc_code = GrpcCode.UNIMPLEMENTED

    def __init__(self, store: str):
        super().__init__(
            f"state store {store} has no transactions with expiry, so it cannot remember an Idempotency-Key",
            "leave it out, and look before you repeat a call whose answer was lost",
        )


class IdempotencyKeyReusedError(StateError):
    """The Idempotency-Key came with another request before. Nothing was done."""

    code = "ERR_IDEMPOTENCY_KEY_REUSED"
    http_status = 422
    grpc_code = GrpcCode.FAILED_PRECONDITION

    def __init__(self, key: str):
        super().__init__(
            f"the Idempotency-Key came with another request for key {key} before; nothing was done",
            "send a new one with each new request",
        )


class ContentionError(StateError):
    """Other writers changed the key again and again, or too many calls wait. The call changed nothing."""

    code = "ERR_STATE_CONTENTION"
    http_status = 503
    grpc_code = GrpcCode.UNAVAILABLE
    retry_after = 1

    def __init__(self, why: str):
        super().__init__(f"too much contention: {why}; nothing was changed", "try again later")
