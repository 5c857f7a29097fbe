"""The calls that change a stored value without the caller reading it first: increment, append, get-and-set, touch; and
`exists`. Imported with the first such call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from msgspec import Struct

from .changes import UNGIVEN, Change, Touch
from .errors import EmptyKeyError, MalformedRequestError, ValueInPartsError
from .hot_keys import HotKeys, Place, Result
from .idempotency import once_of
from .requests import NO_METADATA, STRONG, Consistency, Get, GetRequest
from .writing import TTL_FIELD, checked_key, refuse_outbox, ttl_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .bytes_in_flight import BytesInFlight
    from .directory import Directory, ServedStore
    from .idempotency import Once
    from .store import Store

Answer = TypeVar("Answer")

OPERATIONS: Final = {"Increment": "increment", "Append": "append", "GetAndSet": "get_and_set", "Touch": "touch"}
"""The names of the calls in metrics and errors."""


class ChangeRequest(Struct, frozen=True):
    """Change one key of the app."""

    store: str | None
    """None: the default store."""
    key: str
    change: Change
    etag: str | None = None
    """Change it only if it has this ETag."""
    consistency: Consistency | None = None
    """Of the write; the value is always read as consistently as the store can."""
    metadata: Mapping[str, str] = NO_METADATA
    idempotency_key: str = ""
    """A repeated request with the same one is answered as the first, and not carried out again; empty: none."""
    wants_etag: bool = False
    """Whether to read the ETag of the value that the change leaves."""


class Calls(Protocol):
    """What is needed of the service."""

    directory: Directory

    def one_key(
        self, operation: str, served: ServedStore, key: str, call: Awaitable[Answer], started: float | None = None
    ) -> Awaitable[Answer]:
        """Await a call for one key, and count it. Raises OperationFailedError."""


class Changing:
    """Carries out these calls."""

    def __init__(self, calls: Calls, bytes_in_flight: BytesInFlight):
        self._calls = calls
        self._keys = HotKeys(bytes_in_flight)

    async def change(self, request: ChangeRequest) -> Result:
        """Carry out a change; return its result.

        Raises StoreNotFoundError, StoreNotReadyError, MalformedRequestError, a ChangeRefusedError,
        ContentionError, IdempotencyNotSupportedError, IdempotencyKeyReusedError and OperationFailedError.
        """
        served = self._calls.directory.find(request.store)
        if not request.key:
            raise EmptyKeyError
        place, ttl = _place(served, request), _ttl(served, request)
        strong = request.consistency is STRONG
        call = self._keys.change(
            place,
            request.change,
            etag=request.etag or None,
            ttl=ttl,
            strong=strong,
            once=self._once(place, request, ttl) if request.idempotency_key else None,
            wants_etag=request.wants_etag,
        )
        return await self._calls.one_key(OPERATIONS[type(request.change).__name__], served, request.key, call)

    def _once(self, place: Place, request: ChangeRequest, ttl: int | None) -> Once:
        change = request.change
        what = [type(change).__name__, change, request.etag or None, ttl, place.metadata]
        app_id = self._calls.directory.app_id
        return once_of(place.served, app_id, place.key, dict(place.metadata), request.idempotency_key, what)

    async def exists(self, request: GetRequest) -> bool:
        """Return whether there is a value: `get`, counted under a name of its own."""
        served = self._calls.directory.find(request.store)
        if not request.key:
            raise EmptyKeyError
        key = checked_key(served, served.keys.stored(request.key))
        get = Get(key, request.consistency is STRONG, request.metadata)
        return await self._calls.one_key("exists", served, request.key, _is_there(served.store, get))


async def _is_there(store: Store, get: Get) -> bool:
    try:
        return await store.get(get) is not None
    except ValueInPartsError:
        return True


def _place(served: ServedStore, request: ChangeRequest) -> Place:
    key = checked_key(served, served.keys.stored(request.key))
    if not request.metadata:
        return Place(served, key)
    refuse_outbox(request.metadata)
    kept = sorted((name, value) for name, value in request.metadata.items() if name.lower() != TTL_FIELD.lower())
    return Place(served, key, tuple(kept))


def _ttl(served: ServedStore, request: ChangeRequest) -> int | None:
    """Return the TTL in seconds, None for never, UNGIVEN if neither the request nor the component says."""
    default = UNGIVEN if served.default_ttl is None else served.default_ttl
    given = ttl_of(request.metadata, UNGIVEN if isinstance(request.change, Touch) else default)
    if given == UNGIVEN and isinstance(request.change, Touch):
        raise MalformedRequestError(
            f"metadata {TTL_FIELD} is missing", "write a whole number of seconds from now, or -1 for never"
        )
    return given
