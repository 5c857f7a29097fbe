"""Saves, deletes and transactions with an Idempotency-Key: a repeated one is answered, and not carried out again.
Imported with the first such call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from . import retries
from .errors import (
    ETagMismatchError,
    MalformedRequestError,
    StoreError,
    TooManyOperationsError,
    TransactionFailedError,
)
from .idempotency import Record, once_of, record_in
from .writing import delete_of, set_of, write_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from .directory import Directory, ServedStore
    from .idempotency import Once
    from .pacing import Pace
    from .requests import DeleteRequest, RetryPolicy, SaveRequest, TransactRequest, Write
    from .store import Store


class Calls(Protocol):
    """What is needed of the service."""

    directory: Directory
    pace: Pace

    def one_key(self, operation: str, served: ServedStore, key: str, call: Awaitable[None]) -> Awaitable[None]:
        """Await a call for one key, and count it. Raises OperationFailedError."""

    def counted(self, served: ServedStore, operation: str, call: Awaitable[None]) -> Awaitable[None]:
        """Await a call of a store, and count it. Raises StoreError."""

    def require_transactions(self, store: str | None) -> ServedStore:
        """Return the store. Raises TransactionsNotSupportedError, StoreNotFoundError or StoreNotReadyError."""

    def is_short(self) -> bool:
        """Return whether memory is short."""


class RepeatableWrites:
    """Carries out these calls. Each raises IdempotencyNotSupportedError, IdempotencyKeyReusedError, and what the call
    without a key raises.
    """

    def __init__(self, calls: Calls):
        self._calls = calls

    async def save(self, request: SaveRequest, idempotency_key: str) -> None:
        """Save one item. Raises MalformedRequestError for several, because they are written independently."""
        served = self._calls.directory.find(request.store)
        if len(request.items) != 1:
            raise MalformedRequestError(
                f"an Idempotency-Key came with {len(request.items)} items, of which some may fail",
                "save one item, or send a transaction",
            )
        [item] = request.items
        call = self._once(served, [set_of(served, item)], item.key, item.retry, idempotency_key)
        await self._calls.one_key("set", served, item.key, call)

    async def delete(self, request: DeleteRequest, idempotency_key: str) -> None:
        """Remove a key."""
        item = request.item
        served = self._calls.directory.find(request.store)
        write = delete_of(served, served.keys.stored(item.key), item)
        call = self._once(served, [write], item.key, item.retry, idempotency_key)
        await self._calls.one_key("delete", served, item.key, call)

    async def transact(self, request: TransactRequest, idempotency_key: str) -> None:
        """Carry out all writes or none."""
        served = self._calls.require_transactions(request.store)
        if not request.items:
            return
        writes = await self._calls.pace.each(
            lambda item: write_of(served, served.keys.stored(item.key), item, request.metadata), request.items
        )
        limit = served.store.max_transaction
        if limit is not None and len(writes) >= limit:
            raise TooManyOperationsError(served.name, len(writes), limit - 1)
        policy = next((item.retry for item in request.items if item.retry), None)
        call = self._once(served, writes, request.items[0].key, policy, idempotency_key)
        try:
            await self._calls.counted(served, "transaction", call)
        except StoreError as error:
            what = "error while executing state transaction"
            raise TransactionFailedError("ERR_STATE_TRANSACTION", what, error) from error

    def _once(
        self, served: ServedStore, writes: Sequence[Write], key: str, policy: RetryPolicy | None, idempotency_key: str
    ) -> Awaitable[None]:
        """Return what carries the writes out once, as often as the policy says. Raises MalformedRequestError and
        IdempotencyNotSupportedError.
        """
        first = writes[0]
        app_id = self._calls.directory.app_id
        once = once_of(served, app_id, first.key, first.metadata, idempotency_key, ["write", writes])
        store = served.store if policy is None else served.store.unretried
        return retries.attempt(
            lambda: carry_out(store, once, key, writes),
            policy,
            is_conditional=False,  # one whose outcome is unknown may be repeated: it is remembered if it has happened
            is_short=self._calls.is_short,
        )


async def carry_out(store: Store, once: Once, key: str, writes: Sequence[Write]) -> None:
    """Carry out the writes, all or none, unless they have been carried out before. Raises IdempotencyKeyReusedError and
    StoreError.
    """
    if await _is_done(store, once, key):
        return
    try:
        await store.transact([*writes, once.write(Record.of(once, None))])
    except ETagMismatchError:  # of the app's keys, or another sidecar had the same request
        if not await _is_done(store, once, key):
            raise


async def _is_done(store: Store, once: Once, key: str) -> bool:
    found = await store.get(once.read())
    if found is None:
        return False
    record_in(found).require(once, key)
    return True
