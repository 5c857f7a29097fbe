"""The errors of calls that are refused before they reach a store: `StateError` and its kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ..wording import shortened
from .codes import GrpcCode

if TYPE_CHECKING:
    from collections.abc import Mapping


class StateError(Exception):
    """A state call cannot be answered as asked. `str()` is message and advice, in one line."""

    def __init__(self, message: str = "", advice: str = ""):
        """`message` says what went wrong, in Dapr's words if it has any; `advice` says what to do."""
        self.message = shortened(message)
        self.advice = advice
        super().__init__(shortened(f"{message}; {advice}") if advice else self.message)

    code: ClassVar[str] = "ERROR"
    """Dapr's `errorCode`."""
    dapr_code: str | None = None
    """The `errorCode` in profile `dapr`, where it differs."""
    reason: str | None = None
    """`reason` of google.rpc.ErrorInfo; None: the error has no details."""
    http_status: int = 500
    dapr_http_status: int | None = None
    """The HTTP status in profile `dapr`, where it differs."""
    grpc_code: GrpcCode = GrpcCode.INTERNAL
    dapr_grpc_code: GrpcCode | None = None
    """The gRPC status in profile `dapr`, where it differs."""
    dapr_reason: str | None = None
    """The reason in profile `dapr`, where it differs."""
    dapr_message: str | None = None
    """The message in profile `dapr`, where it differs."""
    dapr_grpc_message: str | None = None
    """The message over gRPC in profile `dapr`, where it differs from `dapr_message`."""
    has_dapr_http_details: bool = True
    """Whether Dapr's answer over HTTP may have details."""
    has_dapr_grpc_details: bool = True
    """Whether Dapr's answer over gRPC has details."""
    info: Mapping[str, str] | None = None
    """`metadata` of google.rpc.ErrorInfo."""
    resource: str | None = None
    """Name of the state store of google.rpc.ResourceInfo; None: no such detail."""
    violation: tuple[str, str] | None = None
    """Field and description of google.rpc.BadRequest."""
    help_link: tuple[str, str] | None = None
    """Description and URL of google.rpc.Help."""
    retry_after: int | None = None
    """Seconds after which another attempt makes sense."""


class MalformedRequestError(StateError):
    """The request cannot be read; the message names the field."""

    code = "ERR_MALFORMED_REQUEST"
    http_status = 400
    grpc_code = GrpcCode.INVALID_ARGUMENT


class ApiNotAllowedError(StateError):
    """The lists of a Configuration do not permit the call. Over HTTP, Dapr answers as if there were no such path."""

    code = "ERR_API_NOT_ALLOWED"
    http_status = 403
    grpc_code = GrpcCode.PERMISSION_DENIED

    def __init__(self, api: str, version: str, protocol: str) -> None:
        what = f"the API '{api}' ({version}) is not allowed over {protocol}"
        super().__init__(what, "spec.api of the sidecar's Configuration has the lists of what is")


class EmptyKeyError(MalformedRequestError):
    """An item has no key; `where` says which."""

    def __init__(self, where: str = "") -> None:
        super().__init__(f'"key" is a required field{where}', "give each item a key that is not empty")
        self.dapr_message = '"key" is a required field'


class IllegalKeyError(MalformedRequestError):
    """A key, or a part of one, whose stored key could be that of another key; most often it contains `||`."""

    reason = "DAPR_STATE_ILLEGAL_KEY"

    def __init__(
        self,
        key: str,
        store: str,
        why: str = "can't contain '||'",
        advice: str = "choose another separator inside the key, for example '|' or ':'",
    ) -> None:
        text = f"input key/keyPrefix '{key}' {why}"
        super().__init__(text, advice)
        self.resource = store
        self.violation = (shortened(key), shortened(text))


class TooManyItemsError(MalformedRequestError):
    """A request has more items, keys or operations than are allowed."""

    code = "ERR_TOO_MANY_ITEMS"
    http_status = 413
    grpc_code = GrpcCode.RESOURCE_EXHAUSTED

    def __init__(self, maximum: int) -> None:
        super().__init__(
            f"the request has over {maximum} items, keys or operations",
            "make several of it or raise --max-request-items",
        )


class TooManyFieldsError(TooManyItemsError):
    """A request has more unknown fields than are passed over."""

    def __init__(self, maximum: int) -> None:
        MalformedRequestError.__init__(
            self, f"the request has over {maximum} fields that have no meaning here", "leave them out"
        )


class OverloadedError(StateError):
    """Other calls already use what the sidecar can do; this one was not begun.

    `http_api/receiving.py` gives the same code and `retry_after` to requests that it refuses because all
    clients together hold too much.
    """

    code = "ERR_OVERLOADED"
    http_status = 503
    grpc_code = GrpcCode.RESOURCE_EXHAUSTED
    retry_after = 1


class UnknownOperationError(StateError):
    """A transaction holds something that is neither an upsert nor a delete."""

    code = "ERR_NOT_SUPPORTED_STATE_OPERATION"
    http_status = 400
    grpc_code = GrpcCode.UNIMPLEMENTED

    def __init__(self, operation: str) -> None:
        super().__init__(f"operation type {operation} not supported", 'write "upsert" or "delete"')


class UnknownActorOperationError(UnknownOperationError):
    """The same in an actor's transaction over HTTP: Dapr notices it only when it carries out the transaction."""

    dapr_code = "ERR_ACTOR_STATE_TRANSACTION_SAVE"
    dapr_http_status = 500

    def __init__(self, operation: str) -> None:
        super().__init__(operation)
        self.dapr_message = f"error saving actor transaction state: {self.message}"


class StoreNotFoundError(StateError):
    """The app has no store of this name; `state/directory.py` words the advice."""

    code = "ERR_STATE_STORE_NOT_FOUND"
    reason = "DAPR_STATE_NOT_FOUND"
    http_status = 400
    grpc_code = GrpcCode.INVALID_ARGUMENT

    def __init__(self, store: str, app_id: str, advice: str) -> None:
        super().__init__(f"state store {store} is not found", advice)
        self.info = {"appID": app_id}

    def as_not_configured(self) -> StoreNotFoundError:
        """Answer in profile `dapr` as if no store were configured: for Dapr, refused components and those of other apps
        do not exist.
        """
        self.dapr_code, self.dapr_reason = NoStoreConfiguredError.code, NoStoreConfiguredError.reason
        self.dapr_http_status, self.dapr_grpc_code = (
            NoStoreConfiguredError.dapr_http_status,
            NoStoreConfiguredError.grpc_code,
        )
        self.dapr_message = self.message.removesuffix("found") + "configured"
        return self


class NoStoreConfiguredError(StoreNotFoundError):
    """The sidecar serves no state store at all."""

    code = "ERR_STATE_STORE_NOT_CONFIGURED"
    reason = "DAPR_STATE_NOT_CONFIGURED"
    dapr_http_status = 500
    grpc_code = GrpcCode.FAILED_PRECONDITION

    def __init__(self, store: str, app_id: str, advice: str) -> None:
        StateError.__init__(self, f"state store {store} is not configured", advice)
        self.info = {"appID": app_id}


class StoreNotReadyError(StateError):
    """The store is configured but could not be opened yet; it is tried again in the background."""

    code = "ERR_STATE_STORE_NOT_READY"
    reason = "PANNIER_STATE_NOT_READY"
    http_status = 503
    grpc_code = GrpcCode.UNAVAILABLE
    retry_after = 1

    def __init__(self, store: str, why: str) -> None:
        super().__init__(f"state store {store} is not ready: {why}", "it is tried again in the background")
        self.info = {"store": store}


_STORES_PAGE = (
    "Check the list of state stores and the features they support",
    "https://docs.dapr.io/reference/components-reference/supported-state-stores/",
)


class TransactionsNotSupportedError(StateError):
    """The store has no transactions."""

    code = "ERR_STATE_STORE_NOT_SUPPORTED"
    reason = "DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED"
    http_status = 400
    dapr_http_status = 500
    grpc_code = GrpcCode.UNIMPLEMENTED
    help_link = _STORES_PAGE

    def __init__(self, store: str) -> None:
        super().__init__(
            f"state store {store} doesn't support transactions",
            "save the items one by one or use a store that does",
        )
        self.resource = store


class TooManyOperationsError(StateError):
    """A transaction is larger than the store can take."""

    code = "ERR_STATE_STORE_TOO_MANY_TRANSACTIONS"
    reason = "DAPR_STATE_TOO_MANY_TRANSACTIONS"
    http_status = 400
    grpc_code = GrpcCode.INVALID_ARGUMENT

    def __init__(self, store: str, count: int, limit: int) -> None:
        super().__init__(
            f"the transaction contains {count} operations, which is more than what the state store supports: {limit}",
            "make several of it",
        )
        self.resource = store
        self.info = {"currentOpsTransaction": str(count), "maxOpsPerTransaction": str(limit)}


class QueryNotSupportedError(StateError):
    """A query on a store that cannot enumerate its keys."""

    code = "ERR_STATE_STORE_NOT_SUPPORTED"
    reason = "DAPR_STATE_QUERYING_NOT_SUPPORTED"
    http_status = 400
    dapr_http_status = 500

    def __init__(self, store: str) -> None:
        super().__init__(
            "state store does not support querying",
            f"state store {store} can't list its keys, so they can't be looked through",
        )
        self.resource = store


class MalformedQueryError(StateError):
    """A query that cannot be read, or that cannot be carried out whole."""

    code = "ERR_STATE_QUERY"
    reason = "DAPR_STATE_QUERY_FAILED"
    http_status = 400
    dapr_http_status = 500
    grpc_code = GrpcCode.INVALID_ARGUMENT
    dapr_grpc_code = GrpcCode.INTERNAL

    def __init__(self, store: str, why: str, advice: str = "") -> None:
        super().__init__(f"state store {store} query failed: {why}", advice)
        self.resource = store


class ListingNotSupportedError(StateError):
    """The store cannot enumerate its keys."""

    code = "ERR_STATE_STORE_NOT_SUPPORTED"
    reason = "PANNIER_STATE_LISTING_NOT_SUPPORTED"
    http_status = 400
    grpc_code = GrpcCode.UNIMPLEMENTED

    def __init__(self, store: str) -> None:
        super().__init__(f"state store {store} can't list its keys", "keep an index of them under a key of your own")
        self.resource = store


class ReservedActorTypeError(StateError):
    """Actor types of Dapr's own workflow engine."""

    code = "ERR_ACTOR_TYPE_RESERVED"
    http_status = 403
    grpc_code = GrpcCode.PERMISSION_DENIED
    has_dapr_grpc_details = False

    def __init__(self, actor_type: str) -> None:
        super().__init__(
            f'actor type "{actor_type}" is reserved for the Dapr workflow runtime; '
            "direct actor API access is not permitted",
            "call the type something else",
        )


class ActorStoreMissingError(StateError):
    """No store is marked for actor state."""

    code = "ERR_ACTOR_RUNTIME_NOT_FOUND"
    http_status = 400
    dapr_http_status = 500
    has_dapr_grpc_details = False

    def __init__(self) -> None:
        super().__init__(
            "the state store is not configured to use the actor runtime. Have you set the "
            '- name: actorStateStore value: "true" in your state store component file?'
        )


class MalformedActorCallError(StateError):
    """An actor state transaction that cannot be carried out as written."""

    code = "ERR_ACTOR_STATE_TRANSACTION_SAVE"
    http_status = 400
    dapr_http_status = 500
    has_dapr_grpc_details = False

    def __init__(self, why: str, advice: str = "") -> None:
        super().__init__(f"error saving actor transaction state: {why}", advice)
