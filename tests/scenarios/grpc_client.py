"""Both gRPC services as an app uses them: grpcio, with messages compiled from our .proto files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from scenarios.http_client import PATIENCE_S
from scenarios.state_client import Entry, Found, Item, Kind, Operation, Refused, Retry
from servers.grpc_calls import unary
from servers.grpc_protos import DAPR, OWN, message, methods

OPTIONS = (
    ("grpc.max_receive_message_length", 8 * 1024 * 1024),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
)
KINDS = {
    grpc.StatusCode.UNKNOWN: Kind.MALFORMED,  # Layotto's code for a key that is not allowed
    grpc.StatusCode.INVALID_ARGUMENT: Kind.MALFORMED,
    grpc.StatusCode.PERMISSION_DENIED: Kind.FORBIDDEN,
    grpc.StatusCode.FAILED_PRECONDITION: Kind.NOT_SUPPORTED,
    grpc.StatusCode.ABORTED: Kind.CONFLICT,
    grpc.StatusCode.UNAVAILABLE: Kind.NOT_READY,
    grpc.StatusCode.INTERNAL: Kind.FAILED,
}
KINDS_OF_CODE = {
    "ERR_STATE_STORE_NOT_FOUND": Kind.STORE_MISSING,
    "ERR_STATE_STORE_NOT_CONFIGURED": Kind.STORE_MISSING,
    "ERR_STATE_STORE_NOT_SUPPORTED": Kind.NOT_SUPPORTED,
    "ERR_IDEMPOTENCY_KEY_NOT_SUPPORTED": Kind.NOT_SUPPORTED,
    "ERR_NOT_SUPPORTED_STATE_OPERATION": Kind.MALFORMED,
}
CODES_OF_REASON = {
    "DAPR_STATE_NOT_FOUND": "ERR_STATE_STORE_NOT_FOUND",
    "DAPR_STATE_NOT_CONFIGURED": "ERR_STATE_STORE_NOT_CONFIGURED",
    "DAPR_STATE_ILLEGAL_KEY": "ERR_MALFORMED_REQUEST",
    "DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED": "ERR_STATE_STORE_NOT_SUPPORTED",
    "PANNIER_STATE_NOT_READY": "ERR_STATE_STORE_NOT_READY",
    "DAPR_STATE_QUERY_FAILED": "ERR_STATE_QUERY",
    "DAPR_STATE_QUERYING_NOT_SUPPORTED": "ERR_STATE_STORE_NOT_SUPPORTED",
    "PANNIER_STATE_LISTING_NOT_SUPPORTED": "ERR_STATE_STORE_NOT_SUPPORTED",
}
CODES_OF_TEXT = {
    " is not found": "ERR_STATE_STORE_NOT_FOUND",
    " is not configured": "ERR_STATE_STORE_NOT_CONFIGURED",
    "can't contain '||'": "ERR_MALFORMED_REQUEST",
    "operation type ": "ERR_NOT_SUPPORTED_STATE_OPERATION",
    " doesn't support transaction": "ERR_STATE_STORE_NOT_SUPPORTED",
    "error while executing state transaction: ": "ERR_STATE_TRANSACTION",
    " is not ready: ": "ERR_STATE_STORE_NOT_READY",
}
"""Layotto's errors have no details, so its SDKs can only look at the text."""
CONCURRENCY = {None: 0, "first-write": 1, "last-write": 2}
CONSISTENCY = {None: 0, "eventual": 1, "strong": 2}


class GrpcClient:
    """A StateApi over one of the two services."""

    def __init__(self, port: int, service: str):
        self.gives_advice = service == DAPR
        self._package = service.rpartition(".")[0]
        self._items = "dapr.proto.common.v1" if service == DAPR else self._package
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", OPTIONS)
        self._calls = calls(self._channel, service)

    def close(self) -> None:
        self._channel.close()

    def call(self, name: str, request: Any, once: str | None = None) -> Any:
        """Make a call, with an idempotency key if it has one. Raises Refused."""
        return _asked(self._calls[name], request, () if once is None else (("idempotency-key", once),))

    # --- StateApi -----------------------------------------------------------------------------------------------------

    def save(self, store: str | None, *items: Item) -> None:
        self.call("SaveState", self.new("SaveStateRequest", store_name=store, states=self._all(items)))

    def get(
        self, store: str | None, key: str, *, consistency: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> Found | None:
        level = CONSISTENCY[consistency]
        return _found(self.call("GetState", self.new("GetStateRequest", None, store, key, level, metadata)))

    def delete(
        self,
        store: str | None,
        key: str,
        *,
        etag: str | None = None,
        concurrency: str | None = None,
        consistency: str | None = None,
        retry: Retry | None = None,
    ) -> None:
        assert retry is None, "gRPC has no retry policy"
        item = self.item(Item(key, None, etag, concurrency, consistency))
        request = self.new("DeleteStateRequest", store_name=store, key=key)
        for field in ("etag", "options"):
            if item.HasField(field):
                getattr(request, field).CopyFrom(getattr(item, field))
        self.call("DeleteState", request)

    def delete_bulk(self, store: str | None, *items: Item) -> None:
        self.call("DeleteBulkState", self.new("DeleteBulkStateRequest", store_name=store, states=self._all(items)))

    def bulk_get(self, store: str | None, keys: Sequence[str]) -> list[Entry]:
        request = self.new("GetBulkStateRequest", store_name=store, keys=keys, parallelism=3)
        return [Entry(item.key, _found(item), item.error or None) for item in self.call("GetBulkState", request).items]

    def transact(self, store: str | None, *operations: Operation, metadata: Mapping[str, str] | None = None) -> None:
        step = message(f"{self._package}.TransactionalStateOperation")
        steps = [step(operationType=one.name, request=self.item(one.item)) for one in operations]
        request = self.new("ExecuteStateTransactionRequest", storeName=store, operations=steps, metadata=metadata)
        self.call("ExecuteStateTransaction", request)

    # --- messages -----------------------------------------------------------------------------------------------------

    def new(self, name: str, *values: Any, **fields: Any) -> Any:
        """A message of the service's own package."""
        kind = message(f"{self._package}.{name}")
        if values:
            fields = dict(zip(("store_name", "key", "consistency", "metadata"), values[1:], strict=True))
        return kind(**{name: value for name, value in fields.items() if value is not None})

    def _all(self, items: Sequence[Item]) -> list[Any]:
        return [self.item(item) for item in items]

    def item(self, item: Item) -> Any:
        """An item as a message of the service."""
        assert item.retry is None, "gRPC has no retry policy"
        made = message(f"{self._items}.StateItem")(key=item.key, value=item.value or b"", metadata=item.metadata)
        if item.etag is not None:
            made.etag.value = item.etag
        if item.concurrency is not None:
            made.options.concurrency = CONCURRENCY[item.concurrency]
        if item.consistency is not None:
            made.options.consistency = CONSISTENCY[item.consistency]
        return made


class DaprGrpcClient(GrpcClient):
    """Dapr's service, which has the state of actors too."""

    def __init__(self, port: int):
        super().__init__(port, DAPR)
        self._calls |= calls(self._channel, OWN)

    def get_actor_state(self, actor_type: str, actor_id: str, key: str) -> Found | None:
        request = message("dapr.proto.runtime.v1.GetActorStateRequest")(
            actor_type=actor_type, actor_id=actor_id, key=key
        )
        found = self.call("GetActorState", request)
        return Found(found.data, None, found.metadata.get("ttlExpireTime")) if found.data else None

    def transact_actor_state(self, actor_type: str, actor_id: str, *operations: Operation) -> None:
        request = message("dapr.proto.runtime.v1.ExecuteActorStateTransactionRequest")(
            actor_type=actor_type, actor_id=actor_id
        )
        for one in operations:
            assert one.item.etag is None, "actors have no ETags over gRPC"
            step = request.operations.add(operationType=one.name, key=one.item.key, metadata=one.item.metadata)
            if one.item.value is not None:
                step.value.value = one.item.value
        self.call("ExecuteActorStateTransaction", request)

    def query(self, store: str | None, query: str) -> tuple[list[Entry], str | None]:
        request = message("dapr.proto.runtime.v1.QueryStateRequest")(store_name=store, query=query)
        found = self.call("QueryStateAlpha1", request)
        entries = [Entry(each.key, Found(each.data, each.etag), each.error or None) for each in found.results]
        return entries, found.token or None

    # --- Pannier's own service ----------------------------------------------------------------------------------------

    def delete_actor_state(
        self, actor_type: str, actor_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> tuple[int, str | None]:
        request = message("pannier.v1.DeleteActorStateRequest")(
            actor_type=actor_type, actor_id=actor_id, limit=limit, cursor=cursor
        )
        done = self.call("DeleteActorState", request)
        return done.deleted, done.cursor or None

    def delete_keys(
        self, store: str | None, prefix: str, *, limit: int | None = None, cursor: str | None = None
    ) -> tuple[int, str | None]:
        request = message("pannier.v1.DeleteKeysRequest")(store_name=store, prefix=prefix, limit=limit, cursor=cursor)
        done = self.call("DeleteKeys", request)
        return done.deleted, done.cursor or None

    def keys(
        self,
        store: str | None,
        prefix: str = "",
        *,
        limit: int = 100,
        cursor: str | None = None,
        values: bool = False,
        actors: bool = False,
    ) -> tuple[list[Entry], str | None]:
        request = message("pannier.v1.ListKeysRequest")(
            store_name=store, prefix=prefix, limit=limit, cursor=cursor, values=values, actors=actors
        )
        listed = self.call("ListKeys", request)
        return [_listed(each) for each in listed.keys], listed.cursor or None

    def batch(self, store: str | None, *items: Item) -> list[tuple[str, str, str | None]]:
        kind = message("dapr.proto.runtime.v1.TransactionalStateOperation")
        operations = [
            kind(operationType="delete" if item.value is None else "upsert", request=self.item(item)) for item in items
        ]
        request = message("pannier.v1.BatchRequest")(store_name=store, operations=operations, return_etags=True)
        results = self.call("Batch", request).results
        assert all(bool(each.code) == bool(each.error) for each in results)
        return [(each.key, each.outcome, each.etag or None) for each in results]

    def change(self, store: str | None, name: str, key: str, once: str | None = None, **fields: Any) -> Any:
        method = {"increment": "Increment", "append": "Append", "get-and-set": "GetAndSet", "touch": "Touch"}[name]
        kind = message(f"pannier.v1.{method}Request")
        if name == "get-and-set":
            answer = self.call(method, kind(store_name=store, state=self.item(Item(key, **fields))), once)
            return answer.data if answer.HasField("data") else None
        names = {"maxLength": "max_length"}
        given = {names.get(field, field): value for field, value in fields.items()}
        answer = self.call(method, kind(store_name=store, key=key, **given), once)
        return getattr(answer, {"increment": "value", "append": "length", "touch": "exists"}[name])

    def exists(self, store: str | None, key: str) -> bool:
        request = message("dapr.proto.runtime.v1.GetStateRequest")(store_name=store, key=key)
        found: bool = self.call("Exists", request).exists
        return found

    def delete_bulk_each(self, store: str | None, *items: Item) -> list[tuple[str, str | None]]:
        answer = self.call("DeleteBulk", self.new("DeleteBulkStateRequest", store_name=store, states=self._all(items)))
        assert all(bool(each.code) == bool(each.error_code) == bool(each.error) for each in answer.results)
        return [(each.key, each.error_code or None) for each in answer.results]


def calls(channel: grpc.Channel, service: str) -> dict[str, Any]:
    """The unary methods of a service, as grpcio calls them."""
    return {name: unary(channel, service, name)[1] for name in methods(service)}


def _asked(call: Any, request: Any, metadata: tuple[tuple[str, str], ...] = ()) -> Any:
    try:
        return call(request, timeout=PATIENCE_S, metadata=metadata)
    except grpc.RpcError as error:
        raise refused(error) from error


def refused(error: Any) -> Refused:
    """The meaning of an error, as far as an app can see it."""
    text = error.details()
    code = _code_of(error, text)
    return Refused(KINDS_OF_CODE.get(code) or KINDS[error.code()], code, text)


def _code_of(error: Any, text: str) -> str:
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            status = Status.FromString(value)
            assert (status.code, status.message) == (error.code().value[0], text)
            info = ErrorInfo()
            assert status.details[-1].Unpack(info)
            return CODES_OF_REASON.get(info.reason, info.reason)
    return next((code for part, code in CODES_OF_TEXT.items() if part in text), "")


def _listed(each: Any) -> Entry:
    actor = (each.actor_type, each.actor_id) if each.actor_type else None
    return Entry(each.key, _found(each), each.error or None, actor)


def _found(value: Any) -> Found | None:
    if not value.etag:
        assert not value.data
        return None
    return Found(value.data, value.etag, value.metadata.get("ttlExpireTime"))
