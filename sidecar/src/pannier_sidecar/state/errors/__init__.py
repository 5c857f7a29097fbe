"""The errors of state calls, each declared once with its code and its HTTP and gRPC status.

    StoreError                        raised by a store; the service turns it into an OperationFailedError
    ├── ETagMismatchError             another write came first
    │   └── InvalidETagError          the store never makes such an ETag, so it cannot match
    ├── KeyRefusedError               the store cannot hold such a key
    ├── KitError                      a pluggable component answers the client itself
    ├── InvalidCursorError            no place in the list of keys
    ├── NotSupportedError             the store cannot keep this promise, so nothing was done
    ├── TransactionTooLargeError      the store has just said how many operations it takes
    ├── ValueInPartsError             too large for a call that returns it in one piece
    ├── ValueTooLargeError            larger than the component allows
    ├── UndecryptableError            the component's keys do not open the stored value
    ├── StoreUnavailableError         it did not happen, and the cause may pass: worth another attempt
    │   ├── CircuitOpenError          a circuit breaker of a Resiliency is open: not worth another attempt yet
    │   └── PartlyUnavailableError    only some of its servers work; raised only about its health
    ├── OutcomeUnknownError           a write's answer was lost: it may have happened
    │   └── TooFewReplicasError       it has happened, but it may still be lost
    └── StoreRefusedError             will not pass by itself: wrong password, no permission, full disk

    StateError                        what a caller sees
    ├── MalformedRequestError
    │   ├── EmptyKeyError, IllegalKeyError
    │   └── TooManyItemsError
    │       └── TooManyFieldsError
    ├── ApiNotAllowedError            a Configuration does not permit the call
    ├── OverloadedError               other calls use what the sidecar can do
    ├── UnknownOperationError
    │   └── UnknownActorOperationError
    ├── StoreNotFoundError            none of that name, or not in this app's scopes
    │   └── NoStoreConfiguredError    no store at all
    ├── StoreNotReadyError            configured, but its server has not answered yet
    ├── TransactionsNotSupportedError, TooManyOperationsError, QueryNotSupportedError, ListingNotSupportedError
    ├── MalformedQueryError           it cannot be read, or would look through too much
    ├── ReservedActorTypeError, ActorStoreMissingError, MalformedActorCallError
    ├── ChangeRefusedError            what is stored does not allow the change
    │   └── WrongKindError, OutOfRangeError, ListTooLargeError, ExpiryNotGivenError
    ├── ContentionError               other writers change the key all the time
    ├── IdempotencyNotSupportedError, IdempotencyKeyReusedError
    ├── SecretStoresNotConfiguredError, SecretStoreNotFoundError, SecretDeniedError
    ├── SecretFailedError             a secret store could not answer
    │   └── SecretNotFoundError, SecretStoreUnavailableError
    └── OperationFailedError          a get, save, delete ... that reached its store and failed there
        ├── TransactionFailedError, ActorOperationFailedError
        └── BulkGetFailedError

Codes, reasons and messages are those of Dapr 1.18, so that its SDKs recognise them. `advice` says what to do: it
follows the message or, in profile `dapr`, is in a detail.
"""

from __future__ import annotations

from .codes import GrpcCode
from .of_calls import (
    ActorStoreMissingError,
    ApiNotAllowedError,
    EmptyKeyError,
    IllegalKeyError,
    ListingNotSupportedError,
    MalformedActorCallError,
    MalformedQueryError,
    MalformedRequestError,
    NoStoreConfiguredError,
    OverloadedError,
    QueryNotSupportedError,
    ReservedActorTypeError,
    StateError,
    StoreNotFoundError,
    StoreNotReadyError,
    TooManyFieldsError,
    TooManyItemsError,
    TooManyOperationsError,
    TransactionsNotSupportedError,
    UnknownActorOperationError,
    UnknownOperationError,
)
from .of_operations import (
    ActorOperationFailedError,
    BulkGetFailedError,
    OperationFailedError,
    TransactionFailedError,
)
from .of_secrets import (
    SecretDeniedError,
    SecretFailedError,
    SecretNotFoundError,
    SecretStoreNotFoundError,
    SecretStoresNotConfiguredError,
    SecretStoreUnavailableError,
)
from .of_stores import (
    READ_FIRST,
    CircuitOpenError,
    ETagMismatchError,
    InvalidCursorError,
    InvalidETagError,
    KeyRefusedError,
    KitError,
    NotSupportedError,
    OutcomeUnknownError,
    PartlyUnavailableError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
    TooFewReplicasError,
    TransactionTooLargeError,
    UndecryptableError,
    ValueInPartsError,
    ValueTooLargeError,
    is_unreached,
    unanswered,
)

__all__ = [
    "ActorOperationFailedError",
    "ActorStoreMissingError",
    "ApiNotAllowedError",
    "BulkGetFailedError",
    "CircuitOpenError",
    "ETagMismatchError",
    "EmptyKeyError",
    "GrpcCode",
    "IllegalKeyError",
    "InvalidCursorError",
    "InvalidETagError",
    "KeyRefusedError",
    "KitError",
    "ListingNotSupportedError",
    "MalformedActorCallError",
    "MalformedQueryError",
    "MalformedRequestError",
    "NoStoreConfiguredError",
    "NotSupportedError",
    "OperationFailedError",
    "OutcomeUnknownError",
    "OverloadedError",
    "PartlyUnavailableError",
    "QueryNotSupportedError",
    "READ_FIRST",
    "ReservedActorTypeError",
    "SecretDeniedError",
    "SecretFailedError",
    "SecretNotFoundError",
    "SecretStoreNotFoundError",
    "SecretStoreUnavailableError",
    "SecretStoresNotConfiguredError",
    "StateError",
    "StoreError",
    "StoreNotFoundError",
    "StoreNotReadyError",
    "StoreRefusedError",
    "StoreUnavailableError",
    "TooFewReplicasError",
    "TooManyFieldsError",
    "TooManyItemsError",
    "TooManyOperationsError",
    "TransactionFailedError",
    "TransactionTooLargeError",
    "TransactionsNotSupportedError",
    "UndecryptableError",
    "UnknownActorOperationError",
    "UnknownOperationError",
    "ValueInPartsError",
    "ValueTooLargeError",
    "is_unreached",
    "unanswered",
]
