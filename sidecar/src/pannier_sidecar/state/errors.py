"""What can go wrong with a state call, each kind declared once with its code and its HTTP and gRPC status.

    StoreError                        what a store says; the service turns it into an OperationFailedError
    ├── ETagMismatchError             another write came first
    │   └── InvalidETagError          the store never makes such an ETag, so it cannot match
    ├── KeyRefusedError               the store cannot hold such a key
    ├── InvalidCursorError            no place in the list of keys
    ├── NotSupportedError             the store cannot keep this promise, so nothing was done
    ├── StoreUnavailableError         it did not happen, and the cause may pass: worth another attempt
    │   └── PartlyUnavailableError    only some of its servers serve: said of its health alone
    ├── OutcomeUnknownError           a write's answer was lost: it may have happened
    │   └── TooFewReplicasError       it has happened, but it may still be lost
    └── StoreRefusedError             will not pass by itself: wrong password, no permission, full disk

    StateError                        what a caller sees
    ├── MalformedRequestError
    │   ├── EmptyKeyError, IllegalKeyError
    │   └── TooManyItemsError
    ├── OverloadedError               by other calls
    ├── UnknownOperationError
    │   └── UnknownActorOperationError
    ├── StoreNotFoundError            none of that name, or not in this app's scopes
    │   └── NoStoreConfiguredError    no store at all
    ├── StoreNotReadyError            configured, but its server has not answered yet
    ├── TransactionsNotSupportedError, TooManyOperationsError, QueryNotSupportedError, ListingNotSupportedError
    ├── ReservedActorTypeError, ActorStoreMissingError, MalformedActorCallError
    └── OperationFailedError          a get, save, delete ... that reached its store and failed there
        ├── TransactionFailedError, ActorOperationFailedError
        └── BulkGetFailedError

Codes, reasons and messages are those of Dapr 1.18, so that its SDKs recognise them. What to do is in `advice`, which
follows the message, but in profile `dapr` stands in a detail.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

from .wording import joined_dapr_message, joined_message, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class GrpcCode(IntEnum):
    """The gRPC status codes that state calls use."""

    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    RESOURCE_EXHAUSTED = 8
    PERMISSION_DENIED = 7
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


class StoreError(Exception):
    """A store could not do what was asked; the text says why, in words for the app's developer.

    A new HTTP status needs a rank in `_severity` too.
    """

    http_status: ClassVar[int] = 500
    grpc_code: ClassVar[GrpcCode] = GrpcCode.INTERNAL


class ETagMismatchError(StoreError):
    """The stored ETag is another one, or the key is absent, or it is present where it must not be."""

    http_status = 409
    grpc_code = GrpcCode.ABORTED

    dapr_prefix: ClassVar[str] = "possible etag mismatch. error from state store"

    def __str__(self) -> str:
        cause = Exception.__str__(self)
        return self.dapr_prefix + (f": {cause}" if cause else "")


class InvalidETagError(ETagMismatchError):
    """The text given as ETag is none that this store ever makes, so it is not the current one.

    Dapr has an answer of its own for it, which its profile keeps.
    """

    dapr_prefix = "invalid etag value"


class KeyRefusedError(StoreError):
    """The store cannot hold this key, for example because it is too long."""

    http_status = 400
    grpc_code = GrpcCode.INVALID_ARGUMENT


class InvalidCursorError(StoreError):
    """The cursor was not made by this store."""

    http_status = 400
    grpc_code = GrpcCode.INVALID_ARGUMENT


class NotSupportedError(StoreError):
    """The store cannot keep a promise that the request asks for; nothing was written."""

    http_status = 400
    grpc_code = GrpcCode.FAILED_PRECONDITION


class StoreUnavailableError(StoreError):
    """It certainly did not happen: it was not sent, or the store turned it down for now; trying again may help.

    A read that was not answered is one too.
    """

    http_status = 503
    grpc_code = GrpcCode.UNAVAILABLE


class PartlyUnavailableError(StoreUnavailableError):
    """Some servers of the store do not serve, and the others do: said of the store's health, never of a call."""


class OutcomeUnknownError(StoreError):
    """A write was sent and its answer was lost: it may or may not have happened."""

    grpc_code = GrpcCode.UNKNOWN
    doubt: ClassVar[str] = "the write may or may not have happened: "

    def __str__(self) -> str:
        cause = super().__str__()
        return cause if cause.endswith(READ_FIRST) else f"{cause}; {self.doubt}{READ_FIRST}"


READ_FIRST = "read the key before writing again"


def unanswered(what: str, *, may_have_changed: bool) -> StoreError:
    """Return the error of a call that was sent and got no answer that counts, such as `the connection was lost`.

    Without `may_have_changed`, as for any read, it certainly did not happen.
    """
    return OutcomeUnknownError(what) if may_have_changed else StoreUnavailableError(what)


class TooFewReplicasError(OutcomeUnknownError):
    """A strong write is on the primary, but fewer replicas than asked for acknowledged it in time."""

    doubt = "it may be lost yet: "


class StoreRefusedError(StoreError):
    """The store answered that it will not do it; trying again does not help."""


class StateError(Exception):
    """A state call cannot be answered as asked. `str()` is message and advice, in one line."""

    def __init__(self, message: str = "", advice: str = ""):
        """`message` is what went wrong, in Dapr's words where Dapr has some; `advice` is what to do."""
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


class EmptyKeyError(MalformedRequestError):
    """An item has no key; `where` says which."""

    def __init__(self, where: str = "") -> None:
        super().__init__(f'"key" is a required field{where}', "give each item a key that is not empty")
        self.dapr_message = '"key" is a required field'


class IllegalKeyError(MalformedRequestError):
    """A key, or a part of one, that could be taken for another one where it is stored; most often it contains `||`."""

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
    """A request with more items, keys or operations than one may have."""

    code = "ERR_TOO_MANY_ITEMS"
    http_status = 413
    grpc_code = GrpcCode.RESOURCE_EXHAUSTED

    def __init__(self, maximum: int) -> None:
        super().__init__(
            f"the request has over {maximum} items, keys or operations",
            "make several of it or raise --max-request-items",
        )


class OverloadedError(StateError):
    """Other calls make the sidecar do as much as it can; nothing was done for this one."""

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
    """The same in a transaction of an actor, over HTTP: Dapr finds it when it carries the transaction out."""

    dapr_code = "ERR_ACTOR_STATE_TRANSACTION_SAVE"
    dapr_http_status = 500

    def __init__(self, operation: str) -> None:
        super().__init__(operation)
        self.dapr_message = f"error saving actor transaction state: {self.message}"


class StoreNotFoundError(StateError):
    """No store answers to this name for this app."""

    code = "ERR_STATE_STORE_NOT_FOUND"
    reason = "DAPR_STATE_NOT_FOUND"
    http_status = 400
    grpc_code = GrpcCode.INVALID_ARGUMENT

    def __init__(self, store: str, app_id: str, advice: str) -> None:
        super().__init__(f"state store {store} is not found", advice)
        self.info = {"appID": app_id}

    def as_the_only_one(self) -> StoreNotFoundError:
        """Say that no other store is there: what is wrong, or another app's, Dapr knows nothing of."""
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

    def __init__(self, store: str, why: str, retry_after: int = 1) -> None:
        super().__init__(f"state store {store} is not ready: {why}", "it is tried again in the background")
        self.info = {"store": store}
        self.retry_after = retry_after


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
    """The alpha query API; no store of ours serves it."""

    code = "ERR_STATE_STORE_NOT_SUPPORTED"
    reason = "DAPR_STATE_QUERYING_NOT_SUPPORTED"
    http_status = 400
    dapr_http_status = 500

    def __init__(self, store: str) -> None:
        super().__init__(
            "state store does not support querying",
            f"list keys with GET /v1.0-alpha1/state/{store}/keys?prefix= instead",
        )
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


OUTCOME_UNKNOWN = "ERR_STATE_OUTCOME_UNKNOWN"


class OperationFailedError(StateError):
    """A call reached its store and failed there, for one item or several.

    The gravest error decides: a write that may have happened, a failure (500), a store that can't be reached (503), a
    request that the store cannot take (400), a mismatch (409). 503 promises that nothing of the request happened,
    because clients and proxies repeat such a request as a whole; where other items were written it is 500.

    Dapr knows mismatches (409), texts that are no ETag (400) and failures (500). Over gRPC, what may have happened is
    UNKNOWN in its profile too: no client repeats that.
    """

    _reports_mismatches: ClassVar[bool] = True
    """Whether Dapr answers an ETag mismatch with a status of its own, not with that of other failures."""

    def __init__(self, code: str, what: str, errors: Sequence[tuple[str, StoreError]], *, is_partly_done: bool = False):
        """Report `errors`, (key, error); `what` is Dapr's text, like `failed saving state in state store S`."""
        self.errors = tuple(errors)
        super().__init__(f"{what}: {joined_message(self.errors)}")
        gravest = min((error for _, error in errors), key=_severity)
        self.code = code  # type: ignore[misc]  # one class serves the operations, which differ in nothing else
        self.reason = None
        self.http_status = gravest.http_status
        self.grpc_code = gravest.grpc_code
        self._answer_as_dapr(what, gravest)
        if isinstance(gravest, OutcomeUnknownError):
            self.code, self.dapr_code = OUTCOME_UNKNOWN, code  # type: ignore[misc]
        elif isinstance(gravest, StoreUnavailableError):
            if is_partly_done:
                self.http_status, self.grpc_code = 500, GrpcCode.INTERNAL
            else:
                self.retry_after = RETRY_AFTER_S

    def _answer_as_dapr(self, what: str, gravest: StoreError) -> None:
        is_unknown = isinstance(gravest, OutcomeUnknownError)
        self.dapr_http_status, prefix = 500, ""
        self.dapr_grpc_code = GrpcCode.UNKNOWN if is_unknown else GrpcCode.INTERNAL
        if self._reports_mismatches and isinstance(gravest, ETagMismatchError):
            self.dapr_http_status, self.dapr_grpc_code, kind = 409, GrpcCode.ABORTED, ETagMismatchError
            if any(isinstance(error, InvalidETagError) for _, error in self.errors):
                self.dapr_http_status, self.dapr_grpc_code, kind = 400, GrpcCode.INVALID_ARGUMENT, InvalidETagError
            prefix = f"{kind.dapr_prefix}: "
        if len(self.errors) > 1:
            self.dapr_message = shortened(f"{what}: {prefix}{joined_dapr_message(self.errors)}")


class TransactionFailedError(OperationFailedError):
    """A transaction failed in its store: nothing of it was written, unless that is unknown."""

    _reports_mismatches = False

    def __init__(self, code: str, what: str, error: StoreError):
        super().__init__(code, what, [("", error)])


class ActorOperationFailedError(TransactionFailedError):
    """The same of the state of an actor, read or written."""

    has_dapr_grpc_details = False


class BulkGetFailedError(OperationFailedError):
    """A bulk get failed as a whole; Dapr passes on what the store said, and no more."""

    _reports_mismatches = False
    has_dapr_grpc_details = False

    def __init__(self, what: str, key: str, error: StoreError):
        super().__init__("ERR_STATE_BULK_GET", what, [(key, error)])
        self.dapr_grpc_code = GrpcCode.UNKNOWN
        self.dapr_message = shortened(str(error))


RETRY_AFTER_S = 1


def _severity(error: StoreError) -> int:
    """Return the rank of an error, the gravest first; a status that is not named ranks with a mismatch."""
    if isinstance(error, OutcomeUnknownError):
        return 0
    return {500: 1, 503: 2, 400: 3}.get(error.http_status, 4)
