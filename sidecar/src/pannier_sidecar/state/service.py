"""Every use case of the state API, once, for both front ends.

A call finds its store in the directory, makes the stored key, applies the writing rule, is tried as often as its retry
policy says, and is counted. A store's failure becomes one StateError with a message for the caller.
"""

from __future__ import annotations

from functools import cached_property, partial
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from . import retries
from .actors import ActorState
from .bulk_reads import BulkItem, read_values
from .bytes_in_flight import BytesInFlight, Held, Unlimited
from .carrying_out import carry_out, carry_out_each, with_retries
from .errors import (
    ActorOperationFailedError,
    BulkGetFailedError,
    MalformedActorCallError,
    OperationFailedError,
    StoreError,
    TooManyOperationsError,
    TransactionFailedError,
    TransactionsNotSupportedError,
    TransactionTooLargeError,
    ValueInPartsError,
    is_unreached,
)
from .items_in_flight import ItemsInFlight
from .key_lists import KeyLists
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
    SaveRequest,
    TransactRequest,
    Write,
    WriteItem,
)
from .store import Feature, StoredValue
from .writing import checked_key, delete_of, set_of, write_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .batches import Batches
    from .begun_call import BegunCall, Observer
    from .changing import Changing
    from .directory import Directory, ServedStore
    from .limits import Limits
    from .querying import Queries
    from .watching import Watching

Result = TypeVar("Result")


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
        self.observer = observer
        self.record_failure: Callable[[ServedStore], None] = _ignore_failure
        """Called after a call that could not reach its store, or was not answered."""
        self.prepare_watching: Callable[[Watching], None] = _leave_as_it_is
        """Called before the first watch."""
        self._largest_answer = limits.answer
        self._budget = budget or Unlimited()
        self.bytes_in_flight = BytesInFlight(limits.answer, self._budget)
        """What is read for answers and not written into one yet."""
        self.lists = KeyLists(self, limits, self.bytes_in_flight)
        """The calls that list keys."""
        self.max_items = limits.items
        """Front ends read no more items, keys or operations of one request."""
        self.in_flight = ItemsInFlight(limits.items, limits.items_together)
        """Front ends read requests with many items when there is room for them."""
        self.pace = Pace()
        """Both front ends use it for long work in calls."""
        self._limits = limits

    @cached_property
    def queries(self) -> Queries:
        """The query calls."""
        from .querying import Queries  # most sidecars are never asked one, and the module is large

        return Queries(self, self._limits, self.bytes_in_flight, self.pace)

    @cached_property
    def watching(self) -> Watching:
        """The watches."""
        from .watching import Watching  # most sidecars are never asked for one

        watching = Watching(self, self.bytes_in_flight, self._budget)
        self.prepare_watching(watching)
        return watching

    def serve(self, directory: Directory) -> None:
        """Serve other stores from now on."""
        self.directory = directory
        if "watching" in self.__dict__:
            self.watching.directory_changed()

    async def end_watches(self) -> None:
        """End all watches; their clients may go on at another sidecar."""
        if "watching" in self.__dict__:
            await self.watching.close()

    @cached_property
    def batches(self) -> Batches:
        """The calls that write several keys with an outcome for each."""
        from .batches import Batches  # most sidecars are never asked one

        return Batches(self, self._largest_answer, self.bytes_in_flight)

    @cached_property
    def changing(self) -> Changing:
        """The calls that change a value where it is stored: increment, append and the like."""
        from .changing import Changing  # most sidecars are never asked one

        return Changing(self, self.bytes_in_flight)

    async def get(self, request: GetRequest) -> StoredValue | None:
        """Return the value of a key, None where there is none."""
        served, get = self._find_get(request)
        return await self.one_key("get", served, request.key, served.store.get(get))

    def begin_get(self, request: GetRequest, call: BegunCall) -> None:
        """Begin what `get` does, and return at once. Raises a StateError for a wrong request; then nothing is begun."""
        served, get = self._find_get(request)
        call.begin("get", served, request.key)
        served.store.begin_get(get, call)

    def _find_get(self, request: GetRequest) -> tuple[ServedStore, Get]:
        served = self.directory.find(request.store)
        key = served.keys.stored(request.key)
        return served, Get(checked_key(served, key), request.consistency is STRONG, request.metadata)

    async def save(self, request: SaveRequest) -> None:
        """Write the items in order, independently; raise OperationFailedError naming those that failed."""
        served = self.directory.find(request.store)
        items = request.items
        if len(items) <= FEW:  # nearly always so, and it saves a call
            writes = [set_of(served, item) for item in items]
        else:
            writes = await self.pace.each(partial(set_of, served), items)
        if len(writes) == 1:  # nearly always so, and it saves three layers
            await self._write_one("set", served, items[0], writes[0])
        else:
            what = _FAILURES["set"].what.format(store=served.name)
            await self.write_each(served, "set", items, writes, _FAILURES["set"].code, what)

    def begin_save(self, store: str | None, item: WriteItem, call: BegunCall) -> None:
        """Begin what `save` does with one item, like `begin_get`."""
        served = self.directory.find(store)
        self._begin_write("set", served, item, set_of(served, item), call)

    async def delete(self, request: DeleteRequest) -> None:
        """Remove a key."""
        served, write = self._find_delete(request)
        await self._write_one("delete", served, request.item, write)

    def begin_delete(self, request: DeleteRequest, call: BegunCall) -> None:
        """Begin what `delete` does, like `begin_get`."""
        served, write = self._find_delete(request)
        self._begin_write("delete", served, request.item, write, call)

    def _find_delete(self, request: DeleteRequest) -> tuple[ServedStore, Write]:
        served = self.directory.find(request.store)
        return served, delete_of(served, served.keys.stored(request.item.key), request.item)

    def _begin_write(self, operation: str, served: ServedStore, item: WriteItem, write: Write, call: BegunCall) -> None:
        call.begin(operation, served, item.key)
        if item.retry is None:
            served.store.begin_write(write, call)
        else:
            call.resume(with_retries(served, write, item.retry, self.is_short))

    async def bulk_delete(self, request: BulkDeleteRequest) -> None:
        """Remove keys in order, independently; raise OperationFailedError naming those that failed."""
        served = self.directory.find(request.store)
        writes = await self.pace.each(lambda item: delete_of(served, served.keys.stored(item.key), item), request.items)
        what = f"failed deleting state in state store {served.name}"
        await self.write_each(served, "bulk_delete", request.items, writes, "ERR_STATE_BULK_DELETE", what)

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
            reads = read_values(served.store, request.keys, gets, self._largest_answer, self.bytes_in_flight)
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
            store = served.store if policy is None else served.store.unretried
            return store.transact(writes)

        attempts = retries.attempt(call, policy, is_conditional=is_conditional, is_short=self.is_short)
        try:
            await self._counted(served, "transaction", attempts)
        except TransactionTooLargeError as error:
            raise TooManyOperationsError(served.name, len(writes), error.limit) from error

    async def _write_one(self, operation: str, served: ServedStore, item: WriteItem, write: Write) -> None:
        if item.retry is None:
            call = carry_out(served, write)
        else:
            call = with_retries(served, write, item.retry, self.is_short)
        await self.one_key(operation, served, item.key, call)

    async def counted(self, served: ServedStore, operation: str, call: Awaitable[Result]) -> Result:
        """Await a call of a store, keep the store open until it ends, and count it. Raises StoreError."""
        return await self._counted(served, operation, call)

    async def one_key(
        self, operation: str, served: ServedStore, key: str, call: Awaitable[Result], started: float | None = None
    ) -> Result:
        """Await a call that concerns one key. Raises OperationFailedError."""
        try:
            return await self._counted(served, operation, call, started=started)
        except StoreError as error:
            raise failure_of(operation, served, key, error) from error

    async def write_each(
        self,
        served: ServedStore,
        operation: str,
        items: Sequence[WriteItem],
        writes: Sequence[Write],
        code: str,
        what: str,
    ) -> None:
        """Carry out writes independently. Raises OperationFailedError naming the items that failed."""
        errors = await self._counted(
            served, operation, carry_out_each(served, items, writes, self.is_short), _none_failed
        )
        failed = [(item.key, error) for item, error in zip(items, errors, strict=True) if error]
        if failed:
            if any(is_unreached(error) for _, error in failed):
                self.record_failure(served)
            is_partly_done = len(failed) < len(items)
            raise OperationFailedError(code, what, failed, errors, is_partly_done=is_partly_done) from failed[0][1]

    def is_short(self) -> bool:
        """Return whether memory is short: much is held for all clients, or calls wait for room."""
        return self._budget.held > self._budget.limit // 4 * 3 or self.in_flight.is_crowded

    async def _counted(
        self,
        served: ServedStore,
        operation: str,
        call: Awaitable[Result],
        succeeded: Callable[[Result], bool] | None = None,
        started: float | None = None,
    ) -> Result:
        """Await the call, keeping the store open until it ends, and report the outcome to the observer.

        `started` is given for a call that was begun then, and is counted as in flight already.
        """
        if started is None:
            started = perf_counter()
            served.calls_in_flight += 1
        went_well = False
        try:
            result = await call
            went_well = succeeded is None or succeeded(result)
            return result
        except StoreError as error:
            if is_unreached(error):
                self.record_failure(served)
            elif isinstance(error, ValueInPartsError):  # it was found, and a front end may read it part by part
                went_well, error.store = True, served
            raise
        finally:
            self.ended(served, operation, went_well, started)

    def ended(self, served: ServedStore, operation: str, went_well: bool, started: float) -> None:
        """Count the end of a call that was begun at `started`."""
        served.calls_in_flight -= 1
        self.observer.call_ended(served.name, operation, went_well, perf_counter() - started)


class _Failure(NamedTuple):
    """How a call for one key is reported when it fails."""

    code: str
    what: str


_FAILURES: Final = {
    "get": _Failure("ERR_STATE_GET", "fail to get {key} from state store {store}"),
    "set": _Failure("ERR_STATE_SAVE", "failed saving state in state store {store}"),
    "delete": _Failure("ERR_STATE_DELETE", "failed deleting state with key {key}"),
    "increment": _Failure("ERR_STATE_INCREMENT", "failed incrementing key {key} in state store {store}"),
    "append": _Failure("ERR_STATE_APPEND", "failed appending to key {key} in state store {store}"),
    "get_and_set": _Failure("ERR_STATE_GET_AND_SET", "failed replacing key {key} in state store {store}"),
    "touch": _Failure("ERR_STATE_TOUCH", "failed touching key {key} in state store {store}"),
    "exists": _Failure("ERR_STATE_EXISTS", "fail to look for {key} in state store {store}"),
}


def failure_of(operation: str, served: ServedStore, key: str, error: StoreError) -> OperationFailedError:
    """Return the error of a call for one key that failed in its store."""
    failure = _FAILURES[operation]
    return OperationFailedError(failure.code, failure.what.format(key=key, store=served.name), [(key, error)])


def _ignore_failure(_: ServedStore) -> None:
    pass


def _leave_as_it_is(_: Watching) -> None:
    pass


def _none_failed(errors: Sequence[StoreError | None]) -> bool:
    return not any(errors)
