"""`dapr.proto.runtime.v1.Dapr`: the methods about state, actor state, secrets, metadata and shutdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..protobuf import decode
from ..runtime import NO_PLACEMENT
from ..state.pacing import FEW
from ..state.requests import (
    ActorGetRequest,
    ActorTransactRequest,
    BulkDeleteRequest,
    BulkGetRequest,
    DeleteRequest,
    GetRequest,
    SaveRequest,
    TransactRequest,
    WriteItem,
)
from . import messages
from .encoding import (
    CONSISTENCY,
    Encoding,
    actor_operation,
    bulk_item,
    choice,
    expiry,
    get_response,
    query_item,
    store_and_key,
    value_message,
)
from .fast_path import FastMethod
from .long_messages import SINGLE, LongMessages
from .messages import Empty
from .method import Method
from .services import unary
from .status import StatusError, failure, failure_in_daprs_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from msgspec import Struct

    from ..http2.headers import Headers
    from ..runtime import Runtime
    from ..state.begun_call import BegunCall
    from ..state.errors import StateError
    from ..state.service import StateService
    from .services import Handler

SERVICE = "dapr.proto.runtime.v1.Dapr"
_DISABLED = 1
"""A value of `ActorRuntimeStatus`."""


class StateMethods:
    """The six state calls, which Layotto's service has in common with Dapr's."""

    def __init__(self, service: StateService, encoding: Encoding, *, has_default: bool = True):
        """With `has_default`, a request that names no store is for the default store; otherwise it is refused."""
        self._service = service
        self._unnamed = None if has_default else ""
        self._encoding = encoding
        self._each = service.pace.each

    def methods(
        self, error_mapper: Callable[[StateError], StatusError], others: Mapping[str, tuple[type[Struct], Handler]]
    ) -> dict[str, Method]:
        """Return these methods by name, and `others`, whose errors are mapped in the same way."""
        service = self._service
        long = LongMessages(service.pace, service.max_items, service.in_flight)
        fast = self._fast(error_mapper)
        handlers: dict[str, tuple[type[Struct], Handler]] = {
            "GetState": (messages.GetStateRequest, self.get),
            "GetBulkState": (messages.GetBulkStateRequest, self.get_bulk),
            "SaveState": (messages.SaveStateRequest, self.save),
            "DeleteState": (messages.DeleteStateRequest, self.delete),
            "DeleteBulkState": (messages.DeleteBulkStateRequest, self.delete_bulk),
            "ExecuteStateTransaction": (messages.ExecuteStateTransactionRequest, self.transact),
            **others,
        }
        return {
            name: unary(request, handler, long, error_mapper=error_mapper, fast=fast.get(name))
            for name, (request, handler) in handlers.items()
        }

    def _fast(self, error_mapper: Callable[[StateError], StatusError]) -> dict[str, FastMethod]:
        """Return the fast path of each method that has one."""

        def method(start: Callable[[bytes, BegunCall], bool], answer_to: Callable[[Any], bytes]) -> FastMethod:
            return FastMethod(self._service, start, answer_to, error_mapper)

        return {
            "GetState": method(self._begin_get, value_message),
            "SaveState": method(self._begin_save, _empty),
            "DeleteState": method(self._begin_delete, _empty),
        }

    async def get(self, request: messages.GetStateRequest) -> Struct:
        return get_response(await self._service.get(self._get_request(request)))

    def _get_request(self, request: messages.GetStateRequest) -> GetRequest:
        consistency = choice(CONSISTENCY, request.consistency, "consistency")
        return GetRequest(request.store_name or self._unnamed, request.key, consistency, request.metadata)

    def _begin_get(self, message: bytes, call: BegunCall) -> bool:
        plain = store_and_key(message)
        if plain is not None:
            wanted = GetRequest(*plain)
        elif len(message) > SINGLE:
            return False
        else:
            wanted = self._get_request(decode(messages.GetStateRequest, message))
        self._service.begin_get(wanted, call)
        return True

    async def get_bulk(self, request: messages.GetBulkStateRequest) -> Struct:
        wanted = BulkGetRequest(request.store_name or self._unnamed, request.keys, metadata=request.metadata)
        found = await self._service.bulk_get(wanted)
        return messages.GetBulkStateResponse(await self._each(bulk_item, found))

    async def save(self, request: messages.SaveStateRequest) -> Struct:
        states, write_item = request.states, self._encoding.write_item
        few = len(states) <= FEW  # nearly always, and it saves a call
        items = [write_item(state) for state in states] if few else await self._each(write_item, states)
        await self._service.save(SaveRequest(request.store_name or self._unnamed, items))
        return Empty()

    def _begin_save(self, message: bytes, call: BegunCall) -> bool:
        found = self._encoding.only_item(message)
        if found is None:
            return False
        self._service.begin_save(found[0] or self._unnamed, found[1], call)
        return True

    async def delete(self, request: messages.DeleteStateRequest) -> Struct:
        await self._service.delete(self._delete_request(request))
        return Empty()

    def _delete_request(self, request: messages.DeleteStateRequest) -> DeleteRequest:
        return DeleteRequest(request.store_name or self._unnamed, self._encoding.delete_item(request))

    def _begin_delete(self, message: bytes, call: BegunCall) -> bool:
        plain = store_and_key(message)
        if plain is not None:
            deletion = DeleteRequest(plain[0], WriteItem(plain[1]))
        elif len(message) > SINGLE:
            return False
        else:
            deletion = self._delete_request(decode(messages.DeleteStateRequest, message))
        self._service.begin_delete(deletion, call)
        return True

    async def delete_bulk(self, request: messages.DeleteBulkStateRequest) -> Struct:
        items = await self._each(self._encoding.bulk_delete_item, request.states)
        await self._service.bulk_delete(BulkDeleteRequest(request.store_name or self._unnamed, items))
        return Empty()

    async def transact(self, request: messages.ExecuteStateTransactionRequest) -> Struct:
        self._service.require_transactions(request.store_name or self._unnamed)
        operations = await self._each(self._encoding.operation, request.operations)
        items = [item for item in operations if item is not None]
        await self._service.transact(TransactRequest(request.store_name or self._unnamed, items, request.metadata))
        return Empty()

    async def query(self, request: messages.QueryStateRequest) -> Struct:
        found = await self._service.queries.run(request.store_name or self._unnamed, request.query.encode())
        return messages.QueryStateResponse(await self._each(query_item, found.items), found.token or "")


def _empty(_: None) -> bytes:
    return b""


class SidecarMethods:
    """The calls about actor state, secrets and the sidecar itself."""

    def __init__(self, service: StateService, runtime: Runtime):
        self._service = service
        self._runtime = runtime

    async def get_actor_state(self, request: messages.GetActorStateRequest) -> Struct:
        wanted = ActorGetRequest(request.actor_type, request.actor_id, request.key)
        value = await self._service.get_actor_state(wanted)
        if value is None:
            return messages.GetActorStateResponse()
        return messages.GetActorStateResponse(value.value, expiry(value))

    async def transact_actor_state(self, request: messages.ExecuteActorStateTransactionRequest) -> Struct:
        items = await self._service.pace.each(actor_operation, request.operations)
        wanted = ActorTransactRequest(request.actor_type, request.actor_id, items)
        await self._service.transact_actor_state(wanted)
        return Empty()

    async def get_secret(self, request: messages.GetSecretRequest) -> Struct:
        found = await self._runtime.secrets.get(request.store_name, request.key, request.metadata)
        return messages.GetSecretResponse(dict(found))

    async def get_bulk_secret(self, request: messages.GetBulkSecretRequest) -> Struct:
        found = await self._runtime.secrets.get_all(request.store_name, request.metadata)
        return messages.GetBulkSecretResponse(
            {name: messages.SecretResponse(dict(texts)) for name, texts in found.items()}
        )

    async def metadata(self, request: messages.GetMetadataRequest) -> Struct:
        runtime = self._runtime
        return messages.GetMetadataResponse(
            runtime.app_id,
            [
                messages.RegisteredComponents(c.name, c.type, c.version, c.capabilities)
                for c in runtime.described_components()
            ],
            {"daprRuntimeVersion": runtime.version, **runtime.attributes},
            messages.AppConnectionProperties(runtime.app_port or 0, runtime.app_protocol, "127.0.0.1"),
            runtime.version,
            runtime.enabled_features,
            messages.ActorRuntime(_DISABLED, host_ready=False, placement=NO_PLACEMENT),
            [messages.MetadataResiliency(name) for name in runtime.resiliencies_in_effect()],
        )

    async def set_metadata(self, request: messages.SetMetadataRequest) -> Struct:
        if request.key:
            self._runtime.attach(request.key, request.value)
        return Empty()

    async def shutdown(self, message: bytes, headers: Headers) -> bytes:
        self._runtime.stop(headers.get(b"dapr-force-shutdown", b"").lower() == b"true")
        return b""


def methods(
    service: StateService, runtime: Runtime, on_error: Callable[[StateError], None], *, is_exact: bool
) -> Mapping[str, Method]:
    """Return the methods of the service by name. With `is_exact` they answer exactly as Dapr 1.18 does.

    `on_error` is called with each error that a call is answered with.
    """
    state = StateMethods(service, Encoding(), has_default=not is_exact)
    sidecar = SidecarMethods(service, runtime)
    worded = failure_in_daprs_words if is_exact else failure

    def error_mapper(error: StateError) -> StatusError:
        on_error(error)
        return worded(error)

    others: dict[str, tuple[type[Struct], Handler]] = {
        "QueryStateAlpha1": (messages.QueryStateRequest, state.query),
        "GetActorState": (messages.GetActorStateRequest, sidecar.get_actor_state),
        "ExecuteActorStateTransaction": (
            messages.ExecuteActorStateTransactionRequest,
            sidecar.transact_actor_state,
        ),
        "GetSecret": (messages.GetSecretRequest, sidecar.get_secret),
        "GetBulkSecret": (messages.GetBulkSecretRequest, sidecar.get_bulk_secret),
        "GetMetadata": (messages.GetMetadataRequest, sidecar.metadata),
        "SetMetadata": (messages.SetMetadataRequest, sidecar.set_metadata),
    }
    return {**state.methods(error_mapper, others), "Shutdown": Method(sidecar.shutdown)}
