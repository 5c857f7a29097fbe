"""Every use case of the state API, once, for both front ends.

A call finds its store in the directory, makes the stored key, applies the writing rule, is tried as often as its retry
policy says, and is counted. A store's failure becomes one StateError with a message for the caller.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Protocol, TypeVar

from msgspec import Struct

from . import retries
from .actors import ActorState
from .bulk_reads import BulkItem, read_values
from .bytes_in_flight import BytesInFlight, Held, Unlimited
from .errors import (
    ActorOperationFailedError,
    BulkGetFailedError,
    ListingNotSupportedError,
    MalformedActorCallError,
    OperationFailedError,
    OutcomeUnknownError,
    QueryNotSupportedError,
    StateError,
    StoreError,
    StoreUnavailableError,
    TooManyOperationsError,
    TransactionFailedError,
    TransactionsNotSupportedError,
)
from .items_in_flight import ItemsInFlight
from .listing import list_keys
from .pacing import FEW, Pace
from .requests import (
    STRONG,
    ActorGetRequest,
    ActorTransactRequest,
    BulkDeleteRequest,
    BulkGetRequest,
    DeleteRequest,
    Get,
    GetRequest,
    KeysRequest,
    RetryPolicy,
    SaveRequest,
    Set,
    TransactRequest,
    Write,
    WriteItem,
)
from .store import Feature, StoredValue
from .writing import checked_key, delete_of, set_of, write_of

if TYPE_CHECKING:
    from .directory import Directory, ServedStore
    from .limits import Limits

Result = TypeVar("Result")


class Observer(Protocol):
    """Receives the outcome of every call that reached a store."""

    def call_ended(self, store: str, operation: str, succeeded: bool, seconds: float) -> None:
        """Record a call: `operation` is get, set, delete, bulk_get, bulk_delete, transaction or keys."""


class ListedKeys(Struct, frozen=True):
    """A page of the app's keys."""

    items: Sequence[BulkItem]
    cursor: str | None


class StateService:
    """The state API over a directory of stores."""

    def __init__(
        self,
        directory: Directory,
        observer: Observer,
        limits: Limits,
        budget: Held | None = None,
    ):
        """`budget` counts the values that are read for answers."""
        self.directory = directory
        """Replaced as a whole when components change."""
        self._observer = observer
        self.record_failure: Callable[[ServedStore], None] = _ignore_failure
        """Called after a call that could not reach its store, or was not answered."""
        self._largest_answer = limits.answer
        self._max_cursor = limits.cursor
        self._budget = budget or Unlimited()
        self._bytes_in_flight = BytesInFlight(limits.answer, self._budget)
        self.max_items = limits.items
        """Front ends read no more items, keys or operations of one request."""
        self.in_flight = ItemsInFlight(limits.items)
        """Front ends read requests with many items when there is room for them."""
        self.pace = Pace()
        """For long work in calls of either front end."""

    async def get(self, request: GetRequest) -> StoredValue | None:
        """Return the value of a key, None if there is none."""
        served = self.directory.find(request.store)
        key = checked_key(served, served.keys.stored(request.key))
        read = Get(key, request.consistency is STRONG, request.metadata)
        try:
            return await self._counted(served, "get", served.store.get(read))
        except StoreError as error:
            what = f"fail to get {request.key} from state store {served.name}"
            raise OperationFailedError("ERR_STATE_GET", what, [(request.key, error)]) from error

    async def save(self, request: SaveRequest) -> None:
        """Write the items in order, independently; raise OperationFailedError naming those that failed."""
        served = self.directory.find(request.store)
        items = request.items
        few = len(items) <= FEW  # nearly always, and it saves a call
        writes = (
            [set_of(served, item) for item in items] if few else await self.pace.each(partial(set_of, served), items)
        )
        what = f"failed saving state in state store {served.name}"
        if len(writes) == 1:  # nearly always, and it saves three layers
            await self._write_one(served, "set", items[0], writes[0], "ERR_STATE_SAVE", what)
        else:
            await self._write_each(served, "set", items, writes, "ERR_STATE_SAVE", what)

    async def delete(self, request: DeleteRequest) -> None:
        """Remove a key."""
        served = self.directory.find(request.store)
        item = request.item
        write = delete_of(served, served.keys.stored(item.key), item)
        what = f"failed deleting state with key {item.key}"
        await self._write_one(served, "delete", item, write, "ERR_STATE_DELETE", what)

    async def bulk_delete(self, request: BulkDeleteRequest) -> None:
        """Remove keys in order, independently; raise OperationFailedError naming those that failed."""
        served = self.directory.find(request.store)
        writes = await self.pace.each(lambda item: delete_of(served, served.keys.stored(item.key), item), request.items)
        what = f"failed deleting state in state store {served.name}"
        await self._write_each(served, "bulk_delete", request.items, writes, "ERR_STATE_BULK_DELETE", what)

    async def bulk_get(self, request: BulkGetRequest) -> list[BulkItem]:
        """Return an item for each key, in the order asked; the item of a failed read has the error."""
        served = self.directory.find(request.store)
        strong = request.consistency is STRONG
        keys, metadata = request.keys, request.metadata
        if len(keys) <= FEW:
            gets = [Get(checked_key(served, served.keys.stored(key)), strong, metadata) for key in keys]
        else:
            gets = await self.pace.each(
                lambda key: Get(checked_key(served, served.keys.stored(key)), strong, metadata), keys
            )
        if not gets:
            return []
        try:
            reads = read_values(served.store, request.keys, gets, self._largest_answer, self._bytes_in_flight)
            items = await self._counted(served, "bulk_get", reads)
        except StoreError as error:
            what = f"failed getting {len(gets)} keys from state store {served.name}"
            raise BulkGetFailedError(what, request.keys[0], error) from error
        if items[0].error is not None and all(item.error is not None for item in items):
            self.record_failure(served)
        return items

    async def transact(self, request: TransactRequest) -> None:
        """Carry out all writes or none."""
        served = self.require_transactions(request.store)
        writes = await self.pace.each(
            lambda item: write_of(served, served.keys.stored(item.key), item, request.metadata), request.items
        )
        try:
            await self._transact(served, request.items, writes)
        except StoreError as error:
            what = "error while executing state transaction"
            raise TransactionFailedError("ERR_STATE_TRANSACTION", what, error) from error

    def require_transactions(self, store: str | None) -> ServedStore:
        """Return the store if it has transactions.

        Raises TransactionsNotSupportedError, StoreNotFoundError or StoreNotReadyError.
        """
        served = self.directory.find(store)
        if not served.supports(Feature.TRANSACTIONAL):
            raise TransactionsNotSupportedError(served.name)
        return served

    async def keys(self, request: KeysRequest) -> ListedKeys:
        """List the app's keys that start with a prefix, actors' keys left out."""
        served = self.directory.find(request.store)
        if not served.supports(Feature.KEYS_LIKE):
            raise ListingNotSupportedError(served.name)
        try:
            return await self._counted(served, "keys", self._list(served, request))
        except StoreError as error:
            what = f"failed listing keys of state store {served.name}"
            raise OperationFailedError("ERR_STATE_KEYS", what, [(request.prefix, error)]) from error

    async def _list(self, served: ServedStore, request: KeysRequest) -> ListedKeys:
        keys, cursor = await list_keys(served, request, self._max_cursor)
        if not request.with_values:
            return ListedKeys([BulkItem(key) for key in keys], cursor)
        gets = [Get(served.keys.prefix + key) for key in keys]
        values = await read_values(served.store, keys, gets, self._largest_answer, self._bytes_in_flight)
        return ListedKeys(values, cursor)

    def query(self, store: str | None) -> StateError:
        """Return the refusal of the alpha query API: no store of ours serves it."""
        return QueryNotSupportedError(self.directory.find(store).name)

    async def get_actor_state(self, request: ActorGetRequest) -> StoredValue | None:
        """Return the value of an actor's key, None if there is none."""
        actor = ActorState(self.directory, request.actor_type, request.actor_id)
        served = actor.served
        read = Get(checked_key(served, actor.stored(request.key)), metadata=actor.metadata)
        try:
            return await self._counted(served, "get", served.store.get(read))
        except StoreError as error:
            raise ActorOperationFailedError("ERR_ACTOR_STATE_GET", "error getting actor state", error) from error

    async def transact_actor_state(self, request: ActorTransactRequest) -> None:
        """Carry out all writes of one actor or none."""
        actor = ActorState(self.directory, request.actor_type, request.actor_id)
        served = actor.served
        if not served.supports(Feature.TRANSACTIONAL):
            raise MalformedActorCallError(f"state store {served.name} doesn't support transactions", "mark another one")
        writes = await self.pace.each(
            lambda item: write_of(served, actor.stored(item.key), actor.placed(item)), request.items
        )
        try:
            await self._transact(served, request.items, writes)
        except StoreError as error:
            what = "error saving actor transaction state"
            raise ActorOperationFailedError(MalformedActorCallError.code, what, error) from error

    async def _transact(self, served: ServedStore, items: Sequence[WriteItem], writes: Sequence[Write]) -> None:
        if not writes:
            return
        limit = served.store.max_transaction
        if limit is not None and len(writes) > limit:
            raise TooManyOperationsError(served.name, len(writes), limit)
        policy = next((item.retry for item in items if item.retry), None)
        is_conditional = any(write.is_conditional for write in writes)

        def call() -> Awaitable[None]:
            return served.store.transact(writes)

        await self._counted(
            served, "transaction", retries.attempt(call, policy, is_conditional=is_conditional, is_short=self._is_short)
        )

    async def _write_one(
        self, served: ServedStore, operation: str, item: WriteItem, write: Write, code: str, what: str
    ) -> None:
        try:
            if item.retry is None:
                await self._counted(served, operation, _carry_out(served, write))
            else:
                await self._counted(served, operation, _with_retries(served, write, item.retry, self._is_short))
        except StoreError as error:
            raise OperationFailedError(code, what, [(item.key, error)]) from error

    async def _write_each(
        self,
        served: ServedStore,
        operation: str,
        items: Sequence[WriteItem],
        writes: Sequence[Write],
        code: str,
        what: str,
    ) -> None:
        errors = await self._counted(served, operation, _each(served, items, writes, self._is_short), _none_failed)
        failed = [(item.key, error) for item, error in zip(items, errors, strict=True) if error]
        if failed:
            if any(isinstance(error, StoreUnavailableError | OutcomeUnknownError) for _, error in failed):
                self.record_failure(served)
            is_partly_done = len(failed) < len(items)
            raise OperationFailedError(code, what, failed, is_partly_done=is_partly_done) from failed[0][1]

    def _is_short(self) -> bool:
        """Return whether memory is short: much is held for all clients, or calls wait for room."""
        return self._budget.held > self._budget.limit // 4 * 3 or self.in_flight.is_crowded

    async def _counted(
        self,
        served: ServedStore,
        operation: str,
        call: Awaitable[Result],
        succeeded: Callable[[Result], bool] | None = None,
    ) -> Result:
        """Await the call, keeping the store open until it ends, and report the outcome to the observer."""
        started = perf_counter()
        served.calls_in_flight += 1
        went_well = False
        try:
            result = await call
            went_well = succeeded is None or succeeded(result)
            return result
        except (StoreUnavailableError, OutcomeUnknownError):
            self.record_failure(served)
            raise
        finally:
            served.calls_in_flight -= 1
            self._observer.call_ended(served.name, operation, went_well, perf_counter() - started)


def _ignore_failure(_: ServedStore) -> None:
    pass


def _none_failed(errors: Sequence[StoreError | None]) -> bool:
    return not any(errors)


async def _each(
    served: ServedStore, items: Sequence[WriteItem], writes: Sequence[Write], is_short: Callable[[], bool]
) -> Sequence[StoreError | None]:
    """Carry out the writes in order; a write with a retry policy is tried again before the next one begins."""
    if not any(item.retry for item in items):
        return await served.store.bulk_write(writes)
    return [await _error_of(served, write, item.retry, is_short) for item, write in zip(items, writes, strict=True)]


async def _error_of(
    served: ServedStore, write: Write, policy: RetryPolicy | None, is_short: Callable[[], bool]
) -> StoreError | None:
    try:
        await _with_retries(served, write, policy, is_short)
    except StoreError as error:
        return error
    return None


def _with_retries(
    served: ServedStore, write: Write, policy: RetryPolicy | None, is_short: Callable[[], bool]
) -> Awaitable[None]:
    return retries.attempt(
        lambda: _carry_out(served, write), policy, is_conditional=write.is_conditional, is_short=is_short
    )


def _carry_out(served: ServedStore, write: Write) -> Awaitable[None]:
    return served.store.set(write) if isinstance(write, Set) else served.store.delete(write)
