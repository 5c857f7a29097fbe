"""`pannier.v1.State`: what Dapr's service does not have. Lists of keys, deletes with an outcome for each item, the
deletion of an actor's state, and watches.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING

from ..state.errors import MalformedRequestError, OperationFailedError
from ..state.requests import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    ActorDeleteRequest,
    BulkDeleteRequest,
    KeysRequest,
    PrefixDeleteRequest,
)
from . import messages
from .encoding import Encoding, expiry
from .long_messages import LongMessages
from .services import server_streaming, unary
from .status import failure, failure_in_daprs_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from msgspec import Struct

    from ..http2.headers import Headers
    from ..state.batches import Outcome
    from ..state.bulk_reads import BulkItem
    from ..state.errors import StateError, StoreError
    from ..state.listing import Owner
    from ..state.requests import WriteItem
    from ..state.service import StateService
    from .change_calls import ChangeCalls
    from .method import Messages, Method
    from .services import Handler
    from .status import StatusError

SERVICE = "pannier.v1.State"


class OwnMethods:
    """The calls of the service."""

    def __init__(self, service: StateService, *, is_exact: bool):
        self._service = service
        self._unnamed = "" if is_exact else None
        """The store of a request that names none; profile `dapr` has no default store."""
        self._is_exact = is_exact
        self._encoding = Encoding()

    @cached_property
    def _change_calls(self) -> ChangeCalls:
        from .change_calls import ChangeCalls  # most sidecars are never asked one

        return ChangeCalls(self._service, self._unnamed)

    async def increment(self, request: messages.IncrementRequest, headers: Headers) -> Struct:
        return await self._change_calls.increment(request, headers)

    async def append(self, request: messages.AppendRequest, headers: Headers) -> Struct:
        return await self._change_calls.append(request, headers)

    async def get_and_set(self, request: messages.GetAndSetRequest, headers: Headers) -> Struct:
        return await self._change_calls.get_and_set(request, headers)

    async def touch(self, request: messages.TouchRequest, headers: Headers) -> Struct:
        return await self._change_calls.touch(request, headers)

    async def exists(self, request: messages.GetStateRequest) -> Struct:
        return await self._change_calls.exists(request)

    async def batch(self, request: messages.BatchRequest) -> Struct:
        from ..state.batches import Batch  # most sidecars are never asked one

        pace = self._service.pace
        operations = await pace.each(self._encoding.operation, request.operations)
        items = [item for item in operations if item is not None]
        store = request.store_name or self._unnamed
        outcomes = await self._service.batches.run(Batch(store, items, request.metadata, request.return_etags))
        return messages.BatchResponse(await pace.each(_batch_result, outcomes))

    async def watch(
        self, error_mapper: Callable[[StateError], StatusError], request: messages.WatchRequest
    ) -> Messages:
        from .watch_calls import watch  # most sidecars are never asked one

        store = request.store_name or self._unnamed
        return await watch(self._service, store, request, error_mapper)

    async def list_keys(self, request: messages.ListKeysRequest) -> Struct:
        wanted = KeysRequest(
            request.store_name or self._unnamed,
            request.prefix,
            _limit(request.limit, DEFAULT_LIMIT),
            request.cursor or None,
            request.values,
            request.actors,
        )
        listed = await self._service.lists.keys(wanted)
        keys = await self._service.pace.each(_listed_key, list(zip(listed.items, listed.owners, strict=True)))
        return messages.ListKeysResponse(keys, listed.cursor or "")

    async def delete_bulk(self, request: messages.DeleteBulkStateRequest) -> Struct:
        each = self._service.pace.each
        items = await each(self._encoding.bulk_delete_item, request.states)
        errors: list[StoreError | None] = [None] * len(items)
        try:
            await self._service.bulk_delete(BulkDeleteRequest(request.store_name or self._unnamed, items))
        except OperationFailedError as error:
            if error.of_items is None:
                raise
            errors = list(error.of_items)
        return messages.DeleteBulkResponse(await each(self._deleted_item, list(zip(items, errors, strict=True))))

    def _deleted_item(self, outcome: tuple[WriteItem, StoreError | None]) -> messages.DeletedItem:
        item, error = outcome
        if error is None:
            return messages.DeletedItem(item.key)
        alone = OperationFailedError("ERR_STATE_DELETE", "", [(item.key, error)])
        code, error_code = alone.grpc_code, alone.code
        if self._is_exact:
            code, error_code = alone.dapr_grpc_code or code, alone.dapr_code or error_code
        return messages.DeletedItem(item.key, code, error_code, str(error))

    async def delete_keys(self, request: messages.DeleteKeysRequest) -> Struct:
        limit = _limit(request.limit, MAX_LIMIT)
        store = request.store_name or self._unnamed
        wanted = PrefixDeleteRequest(store, request.prefix, limit, request.cursor or None)
        done = await self._service.lists.delete_prefix(wanted)
        return messages.DeleteKeysResponse(done.deleted, done.cursor or "")

    async def delete_actor_state(self, request: messages.DeleteActorStateRequest) -> Struct:
        limit = _limit(request.limit, MAX_LIMIT)
        wanted = ActorDeleteRequest(request.actor_type, request.actor_id, limit, request.cursor or None)
        done = await self._service.lists.delete_actor_state(wanted)
        return messages.DeleteActorStateResponse(done.deleted, done.cursor or "")


def _limit(given: int, default: int) -> int:
    if not 0 <= given <= MAX_LIMIT:
        raise MalformedRequestError(f"limit is {given}", f"write a whole number from 1 to {MAX_LIMIT}")
    return given or default


def _batch_result(outcome: Outcome) -> messages.BatchResult:
    alone = outcome.alone
    if alone is None:
        return messages.BatchResult(outcome.key, outcome.kind.value, outcome.etag or "")
    error = str(outcome.error)
    return messages.BatchResult(outcome.key, outcome.kind.value, "", alone.grpc_code, alone.code, error)


def _listed_key(listed: tuple[BulkItem, Owner | None]) -> messages.ListedKey:
    item, owner = listed
    actor_type, actor_id = owner or ("", "")
    if (value := item.found) is None:
        return messages.ListedKey(item.key, actor_type, actor_id, error=item.error or "")
    return messages.ListedKey(item.key, actor_type, actor_id, value.value, value.etag, expiry(value))


def methods(service: StateService, on_error: Callable[[StateError], None], *, is_exact: bool) -> Mapping[str, Method]:
    """Return the methods of the service by name. With `is_exact` errors have Dapr's codes and words where it has them.

    `on_error` is called with each error that a call is answered with.
    """
    own = OwnMethods(service, is_exact=is_exact)
    long = LongMessages(service.pace, service.max_items, service.in_flight)
    worded = failure_in_daprs_words if is_exact else failure

    def error_mapper(error: StateError) -> StatusError:
        on_error(error)
        return worded(error)

    changes: dict[str, tuple[type[Struct], Handler]] = {
        "Increment": (messages.IncrementRequest, own.increment),
        "Append": (messages.AppendRequest, own.append),
        "GetAndSet": (messages.GetAndSetRequest, own.get_and_set),
        "Touch": (messages.TouchRequest, own.touch),
    }
    others: dict[str, tuple[type[Struct], Handler]] = {
        "ListKeys": (messages.ListKeysRequest, own.list_keys),
        "DeleteBulk": (messages.DeleteBulkStateRequest, own.delete_bulk),
        "DeleteActorState": (messages.DeleteActorStateRequest, own.delete_actor_state),
        "DeleteKeys": (messages.DeleteKeysRequest, own.delete_keys),
        "Batch": (messages.BatchRequest, own.batch),
        "Exists": (messages.GetStateRequest, own.exists),
    }
    watch = partial(own.watch, error_mapper)
    return {
        **{
            name: unary(request, answer, long, error_mapper=error_mapper, takes_headers=name in changes)
            for name, (request, answer) in {**changes, **others}.items()
        },
        "Watch": server_streaming(messages.WatchRequest, watch, error_mapper=error_mapper),
    }
