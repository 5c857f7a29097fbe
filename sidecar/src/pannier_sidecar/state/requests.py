"""Requests of the front ends to the service, and of the service to a store.

A front end uses a store's name and the app's own keys; a store gets stored keys (prefix applied) and one precondition,
which `writing_rule` derives. They are msgspec structs, because two are made per call, and a struct takes a fifth of a
dataclass's time. With `gc=False` the garbage collector ignores them, since none is part of a reference cycle. Otherwise
64 calls in flight, or two bulk gets, would be 700 more objects to check, after which Python looks for cycles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

NO_METADATA: Final[Mapping[str, str]] = MappingProxyType({})
PARTITION: Final = "partitionKey"


def in_partition(partition: str | None) -> Mapping[str, str]:
    """Return the metadata with which stores that have partitions find a key; None: it needs none."""
    return NO_METADATA if partition is None else {PARTITION: partition}


class Concurrency(Enum):
    """What a write does if there is a value already (State API, "Concurrency")."""

    FIRST_WRITE = "first-write"
    LAST_WRITE = "last-write"


class Consistency(Enum):
    """How many replicas must confirm a write or answer a read (State API, "Consistency")."""

    EVENTUAL = "eventual"
    STRONG = "strong"


FIRST_WRITE: Final = Concurrency.FIRST_WRITE
LAST_WRITE: Final = Concurrency.LAST_WRITE
STRONG: Final = Consistency.STRONG
"""Looked up once, because Python 3.11 takes a fifth of a microsecond to look up a member of an Enum."""


class Pattern(Enum):
    """How the pauses between attempts grow (State API, "Retry Policy")."""

    LINEAR = "linear"
    EXPONENTIAL = "exponential"


class RetryPolicy(Struct, frozen=True, gc=False):
    """How often and after which pauses a failed write is tried again."""

    interval_ms: int = 100
    threshold: int = 3
    """Maximum of attempts after the first one."""
    pattern: Pattern = Pattern.LINEAR


# --- requests to a store -------------------------------------------------------------------------------------------


class Get(Struct, frozen=True, gc=False):
    """Read one stored key."""

    key: str
    strong: bool = False
    metadata: Mapping[str, str] = NO_METADATA


class Set(Struct, frozen=True, gc=False):
    """Write one stored key, if the precondition holds."""

    key: str
    value: bytes
    if_match: str | None = None
    """Write only if the key is present with this ETag."""
    if_absent: bool = False
    """Write only if the key is absent."""
    ttl: int | None = None
    """Seconds until it expires, counted from now; None: never, even if an earlier write set an expiry."""
    strong: bool = False
    metadata: Mapping[str, str] = NO_METADATA
    is_first_write: bool = False
    """The caller asked for first-write concurrency, which some stores record with the value, as Dapr does."""
    is_json: bool = False
    """The value is JSON that came over HTTP; Dapr encrypts such a value in another form than bytes."""
    kept_expiry: int | None = None
    """When the value that has the ETag `if_match` expires, in Unix seconds as the store has said: the new value expires
    at the same time, and `ttl` is None. Only for `set` and `transact` of stores that keep expiries.
    """

    @property
    def is_conditional(self) -> bool:
        return self.if_absent or self.if_match is not None


class Delete(Struct, frozen=True, gc=False):
    """Remove one stored key, if the precondition holds; removing an absent key without `if_match` succeeds.

    With `if_absent` (first-write without an ETag) a key that is present is a mismatch.
    """

    key: str
    if_match: str | None = None
    if_absent: bool = False
    strong: bool = False
    metadata: Mapping[str, str] = NO_METADATA

    @property
    def is_conditional(self) -> bool:
        return self.if_absent or self.if_match is not None


Write = Set | Delete


def writing_rule(etag: str | None, concurrency: Concurrency | None) -> tuple[str | None, bool]:
    """Return `(if_match, if_absent)`: the one table that all stores follow.

    | write                                       | key absent | key present                  |
    |---------------------------------------------|------------|------------------------------|
    | no ETag, no concurrency or last-write       | writes     | writes                       |
    | ETag, no concurrency or first-write         | mismatch   | writes if the ETag is current |
    | ETag, last-write                            | writes     | writes                       |
    | no ETag, first-write                        | writes     | mismatch: create only        |

    An empty ETag is no ETag.
    """
    if concurrency is LAST_WRITE:
        return None, False
    if etag:
        return etag, False
    return None, concurrency is FIRST_WRITE


# --- requests to the service ---------------------------------------------------------------------------------------


class GetRequest(Struct, frozen=True, gc=False):
    """Read one key of the app."""

    store: str | None
    """None: the default store."""
    key: str
    consistency: Consistency | None = None
    metadata: Mapping[str, str] = NO_METADATA


class WriteItem(Struct, frozen=True, gc=False):
    """One key to write or to delete, as the app named it."""

    key: str
    value: bytes | None = None
    """The stored bytes; None: delete."""
    etag: str | None = None
    concurrency: Concurrency | None = None
    consistency: Consistency | None = None
    metadata: Mapping[str, str] = NO_METADATA
    retry: RetryPolicy | None = None
    is_json: bool = False
    """The value is JSON that came over HTTP."""


class SaveRequest(Struct, frozen=True, gc=False):
    """Write items one after another, independently."""

    store: str | None
    items: Sequence[WriteItem]


class DeleteRequest(Struct, frozen=True, gc=False):
    """Delete one key."""

    store: str | None
    item: WriteItem


class BulkDeleteRequest(Struct, frozen=True, gc=False):
    """Delete items one after another, independently (gRPC only)."""

    store: str | None
    items: Sequence[WriteItem]


class BulkGetRequest(Struct, frozen=True, gc=False):
    """Read several keys, answered in the order asked."""

    store: str | None
    keys: Sequence[str]
    consistency: Consistency | None = None
    metadata: Mapping[str, str] = NO_METADATA


class TransactRequest(Struct, frozen=True, gc=False):
    """Write and delete items in order, all or none."""

    store: str | None
    items: Sequence[WriteItem]
    metadata: Mapping[str, str] = NO_METADATA


DEFAULT_LIMIT: Final = 100
"""Keys in one page of a list if the request has no `limit`."""
MAX_LIMIT: Final = 1000
"""The largest `limit`, and the number of keys that one deletion of an actor's state deletes if it has none."""


class KeysRequest(Struct, frozen=True, gc=False):
    """List the app's keys."""

    store: str | None
    prefix: str
    limit: int
    cursor: str | None = None
    with_values: bool = False
    of_actors: bool = False
    """List the keys of the app's actors instead of the app's own; `prefix` begins `<type>||<id>||<key>`."""


class PrefixDeleteRequest(Struct, frozen=True, gc=False):
    """Delete the app's own keys that begin with a prefix, up to `limit` of them in one call."""

    store: str | None
    prefix: str
    limit: int = MAX_LIMIT
    cursor: str | None = None


class ActorGetRequest(Struct, frozen=True, gc=False):
    """Read one key of an actor."""

    actor_type: str
    actor_id: str
    key: str


class ActorTransactRequest(Struct, frozen=True, gc=False):
    """Write and delete keys of one actor, all or none."""

    actor_type: str
    actor_id: str
    items: Sequence[WriteItem]


class ActorDeleteRequest(Struct, frozen=True, gc=False):
    """Delete all keys of one actor, up to `limit` of them in one call."""

    actor_type: str
    actor_id: str
    limit: int = MAX_LIMIT
    cursor: str | None = None
