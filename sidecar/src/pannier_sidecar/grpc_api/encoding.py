"""Turns messages into requests, and results into messages, for both Dapr's and Layotto's service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from ..protobuf import decode, encode, read_pair, write_pair
from ..state.errors import MalformedRequestError, UnknownOperationError
from ..state.requests import Concurrency, Consistency, WriteItem
from ..state.store import rfc3339
from .messages import BulkStateItem, GetStateResponse, QueryStateItem, StateItem

if TYPE_CHECKING:
    from ..state.bulk_reads import BulkItem
    from ..state.store import StoredValue
    from .messages import DeleteStateRequest, TransactionalActorStateOperation, TransactionalStateOperation

MAX_REST: Final = 512
"""An item with more bytes than this, besides its key and value, does not take the fast path."""
CONCURRENCY = (None, Concurrency.FIRST_WRITE, Concurrency.LAST_WRITE)
CONSISTENCY = (None, Consistency.EVENTUAL, Consistency.STRONG)


class Encoding:
    """Reads the messages of one service."""

    def __init__(self, *, zero_is_no_etag: bool = False):
        """`zero_is_no_etag`: Layotto's JavaScript SDK sends the ETag "0" if it has none."""
        self._no_etag = ("", "0") if zero_is_no_etag else ("",)

    def write_item(self, item: StateItem) -> WriteItem:
        """Return an item of a save."""
        return self._item(item, item.value)

    def only_item(self, message: bytes) -> tuple[str, WriteItem] | None:
        """Return the store and the item of a SaveState message that has one item with a key and a value, and few other
        fields; None for any other message. Raises MalformedMessageError and UnicodeDecodeError.
        """
        pair = read_pair(message)
        if pair is None or pair[2] != len(message):
            return None
        store, data, _ = pair
        inner = read_pair(data)
        if inner is None or len(data) - inner[2] > MAX_REST:
            return None
        key, value, end = inner
        if end == len(data):
            return store.decode(), WriteItem(key.decode(), value)
        return store.decode(), self.write_item(decode(StateItem, data[end:], 1, StateItem(key.decode(), value)))

    def bulk_delete_item(self, item: StateItem) -> WriteItem:
        """Return an item of a bulk delete."""
        return self._item(item, None)

    def delete_item(self, request: DeleteStateRequest) -> WriteItem:
        """Return the item of a delete."""
        item = StateItem(request.key, b"", request.etag, request.metadata, request.options)
        return self._item(item, None)

    def operation(self, operation: TransactionalStateOperation) -> WriteItem | None:
        """Return a write of a transaction; None if it has no request, because Dapr and Layotto skip such an
        operation.
        """
        if operation.operation_type not in ("upsert", "delete"):
            raise UnknownOperationError(operation.operation_type)
        if (request := operation.request) is None:
            return None
        return self._item(request, request.value if operation.operation_type == "upsert" else None)

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
    """Return the option of that number. Raises MalformedRequestError."""
    if not 0 <= number < len(known):
        raise MalformedRequestError(f"{name} is {number}", f"write a number up to {len(known) - 1}")
    return known[number]


def actor_operation(operation: TransactionalActorStateOperation) -> WriteItem:
    """Return a write of an actor's transaction. Its value is the content of the Any, without the type (as in Dapr)."""
    if operation.operation_type not in ("upsert", "delete"):
        raise UnknownOperationError(operation.operation_type)
    is_delete = operation.operation_type == "delete"
    value = None if is_delete else (operation.value.value if operation.value is not None else b"")
    return WriteItem(operation.key, value, metadata=operation.metadata)


def store_and_key(message: bytes) -> tuple[str, str] | None:
    """Return the store and the key of a GetState or DeleteState message that has nothing else; None for any other one.

    Raises UnicodeDecodeError.
    """
    pair = read_pair(message)
    if pair is None or pair[2] != len(message) or not pair[0]:
        return None
    return pair[0].decode(), pair[1].decode()


def value_message(value: StoredValue | None) -> bytes:
    """Return the encoded answer to a get, as `get_response` describes it."""
    if value is None:
        return b""
    if value.expires_at is None:
        return write_pair(value.value, value.etag.encode())
    return encode(get_response(value))


def get_response(value: StoredValue | None) -> GetStateResponse:
    """Return the answer to a get; a missing key has neither data nor ETag."""
    if value is None:
        return GetStateResponse()
    return GetStateResponse(value.value, value.etag, expiry(value))


def bulk_item(item: BulkItem) -> BulkStateItem:
    """Return an item for the answer to a bulk get."""
    if item.error is not None:
        return BulkStateItem(item.key, error=item.error)
    if (value := item.found) is None:
        return BulkStateItem(item.key)
    return BulkStateItem(item.key, value.value, value.etag, metadata=expiry(value))


def query_item(item: BulkItem) -> QueryStateItem:
    """Return an item for the answer to a query."""
    if (value := item.found) is None:
        return QueryStateItem(item.key, error=item.error or "")
    return QueryStateItem(item.key, value.value, value.etag)


def expiry(value: StoredValue) -> dict[str, str]:
    """Return the metadata of a value: when it expires, if it does."""
    return {} if value.expires_at is None else {"ttlExpireTime": rfc3339(value.expires_at)}
