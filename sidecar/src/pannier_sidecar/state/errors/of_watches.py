"""The errors of watches. Imported with the first watch."""

from __future__ import annotations

from .codes import GrpcCode
from .of_calls import StateError


class WatchNotSupportedError(StateError):
    """The changes of the store's keys do not become known."""

    code = "ERR_STATE_STORE_NOT_SUPPORTED"
    reason = "PANNIER_STATE_WATCH_NOT_SUPPORTED"
    http_status = 400
    grpc_code = GrpcCode.UNIMPLEMENTED

    def __init__(self, store: str) -> None:
        super().__init__(
            f"state store {store} can't be watched: it neither reports changes nor lists its keys",
            "use a store whose changes are 'push' or 'poll' in Pannier's table of stores",
        )
        self.resource = store


class TooManyWatchesError(StateError):
    """The sidecar has as many watches as it may have."""

    code = "ERR_TOO_MANY_WATCHES"
    http_status = 429
    grpc_code = GrpcCode.RESOURCE_EXHAUSTED
    retry_after = 10

    def __init__(self, maximum: int) -> None:
        super().__init__(
            f"there are {maximum:,} watches already", "watch a shorter prefix once instead of many keys one by one"
        )
