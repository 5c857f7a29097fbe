"""Messages into requests, and findings into messages: alike for Dapr's service and Layotto's."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ..state.errors import MalformedRequest, UnknownOperation
from ..state.requests import Concurrency, Consistency, WriteItem
from ..state.store import rfc3339
from .messages import BulkStateItem, GetBulkStateResponse, GetStateResponse, StateItem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..state.bulk_reads import BulkItem
    from ..state.store import StoredValue
    from .messages import DeleteStateRequest, ExecuteActorStateTransactionRequest, TransactionalStateOperation

CONCURRENCY = (None, Concurrency.FIRST_WRITE, Concurrency.LAST_WRITE)
CONSISTENCY = (None, Consistency.EVENTUAL, Consistency.STRONG)


class Encoding:
    """How one service's messages are read."""

    def __init__(self, *, zero_is_no_etag: bool = False):
        """`zero_is_no_etag`: Layotto's JavaScript SDK sends the ETag "0" wherever it has none."""
        self._no_etag = ("", "0") if zero_is_no_etag else ("",)

    def write_items(self, items: Sequence[StateItem]) -> list[WriteItem]:
        """Return the items of a save."""
        return [self._item(item, item.value) for item in items]

    def delete_items(self, items: Sequence[StateItem]) -> list[WriteItem]:
        """Return the items of a bulk delete."""
        return [self._item(item, None) for item in items]

    def delete_item(self, request: DeleteStateRequest) -> WriteItem:
        """Return the item of a delete."""
        item = StateItem(request.key, b"", request.etag, request.metadata, request.options)
        return self._item(item, None)

    def operations(self, operations: Sequence[TransactionalStateOperation]) -> list[WriteItem]:
        """Return the writes of a transaction. Operations without a request are left out, as Dapr and Layotto do."""
        items = []
        for operation in operations:
            if operation.operation_type not in ("upsert", "delete"):
                raise UnknownOperation(operation.operation_type)
            if (request := operation.request) is not None:
                items.append(self._item(request, request.value if operation.operation_type == "upsert" else None))
        return items

    def _item(self, item: StateItem, value: bytes | None) -> WriteItem:
        options = item.options
        etag = item.etag.value if item.etag is not None and item.etag.value not in self._no_etag else None
        return WriteItem(
            item.key,
            value,
            etag,
            None if options is None else choice(CONCURRENCY, options.concurrency, "concurrency"),
            None if options is None else choice(CONSISTENCY, options.consistency, "consistency"),
            item.metadata,
        )


Option = TypeVar("Option")


def choice(known: tuple[Option, ...], number: int, name: str) -> Option:
    """Return the option of that number. Raises MalformedRequest."""
    if not 0 <= number < len(known):
        raise MalformedRequest(f"{name} is {number}; write a number up to {len(known) - 1}")
    return known[number]


def actor_operations(request: ExecuteActorStateTransactionRequest) -> list[WriteItem]:
    """Return the writes of an actor's transaction; a value is what is inside the Any, without its type (as in Dapr)."""
    items = []
    for operation in request.operations:
        if operation.operation_type not in ("upsert", "delete"):
            raise UnknownOperation(operation.operation_type)
        is_delete = operation.operation_type == "delete"
        value = None if is_delete else (operation.value.value if operation.value is not None else b"")
        items.append(WriteItem(operation.key, value, metadata=operation.metadata))
    return items


def get_response(value: StoredValue | None) -> GetStateResponse:
    """Return the answer to a get; a missing key has neither data nor ETag."""
    if value is None:
        return GetStateResponse()
    return GetStateResponse(value.value, value.etag, expiry(value))


def bulk_response(items: Sequence[BulkItem]) -> GetBulkStateResponse:
    """Return the answer to a bulk get."""
    return GetBulkStateResponse([_bulk_item(item) for item in items])


def _bulk_item(item: BulkItem) -> BulkStateItem:
    if item.error is not None:
        return BulkStateItem(item.key, error=item.error)
    if (value := item.found) is None:
        return BulkStateItem(item.key)
    return BulkStateItem(item.key, value.value, value.etag, metadata=expiry(value))


def expiry(value: StoredValue) -> dict[str, str]:
    """Return the metadata of a value: when it expires, if it does."""
    return {} if value.expires_at is None else {"ttlExpireTime": rfc3339(value.expires_at)}
