"""What an app can ask of its sidecar, and what it can get, in terms that are the same for every front end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Protocol


class Kind(Enum):
    """Why a call was refused."""

    MALFORMED = "the request cannot be carried out as it is written"
    STORE_MISSING = "no such store"
    CONFLICT = "somebody else wrote first"
    NOT_SUPPORTED = "the store cannot do that"
    FORBIDDEN = "not for apps"
    NOT_READY = "the store is not there yet"
    FAILED = "the store failed"


class Refused(Exception):
    """A call that was refused; the text is the message that the app sees."""

    def __init__(self, kind: Kind, code: str, message: str):
        super().__init__(message)
        self.kind = kind
        self.code = code


@dataclass(frozen=True)
class Found:
    """A value that exists."""

    value: bytes
    etag: str | None = None
    """None: the front end returns none for this call."""
    expires_at: str | None = None
    """RFC 3339; None: never."""

    @property
    def expires_s(self) -> float:
        """Seconds since 1970."""
        assert self.expires_at is not None
        return datetime.strptime(self.expires_at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()

    def is_like(self, other: Found | None) -> bool:
        """Return whether another read found the same, except for the rounding of a database that counts down."""
        if other is None or self.expires_at is None or other.expires_at is None:
            return self == other
        return replace(self, expires_at=other.expires_at) == other and abs(self.expires_s - other.expires_s) <= 2


@dataclass(frozen=True)
class Entry:
    """One key of many."""

    key: str
    found: Found | None = None
    error: str | None = None
    actor: tuple[str, str] | None = None
    """Type and id, in a list of actors' keys."""


@dataclass(frozen=True)
class Retry:
    """How often to try again."""

    interval: int = 10
    threshold: int = 3
    pattern: str = "linear"


@dataclass(frozen=True)
class Item:
    """A key to write, or to delete in a transaction."""

    key: str
    value: bytes | None = b"1"
    """JSON; None: no value is sent."""
    etag: str | None = None
    concurrency: str | None = None
    consistency: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry: Retry | None = None


@dataclass(frozen=True)
class Operation:
    """One step of a transaction."""

    name: str
    item: Item


def upsert(key: str, value: bytes = b"1", etag: str | None = None, concurrency: str | None = None) -> Operation:
    return Operation("upsert", Item(key, value, etag, concurrency))


def delete(key: str, etag: str | None = None) -> Operation:
    return Operation("delete", Item(key, None, etag))


class StateApi(Protocol):
    """An app's way to its state; `store` None is the default store. Every call raises Refused."""

    gives_advice: bool
    """Whether error messages continue after the part that is Dapr's or Layotto's."""

    def save(self, store: str | None, *items: Item) -> None: ...

    def get(
        self, store: str | None, key: str, *, consistency: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> Found | None: ...

    def delete(
        self,
        store: str | None,
        key: str,
        *,
        etag: str | None = None,
        concurrency: str | None = None,
        consistency: str | None = None,
        retry: Retry | None = None,
    ) -> None: ...

    def bulk_get(self, store: str | None, keys: Sequence[str]) -> list[Entry]: ...

    def transact(
        self, store: str | None, *operations: Operation, metadata: Mapping[str, str] | None = None
    ) -> None: ...

    def close(self) -> None: ...


class ActorApi(StateApi, Protocol):
    """The same with the state of actors, which Layotto does not have."""

    def get_actor_state(self, actor_type: str, actor_id: str, key: str) -> Found | None: ...

    def transact_actor_state(self, actor_type: str, actor_id: str, *operations: Operation) -> None: ...

    def delete_actor_state(
        self, actor_type: str, actor_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> tuple[int, str | None]:
        """Return how many keys were deleted, and the cursor for the next call."""
        ...

    def delete_keys(
        self, store: str | None, prefix: str, *, limit: int | None = None, cursor: str | None = None
    ) -> tuple[int, str | None]:
        """Return how many keys were deleted, and the cursor for the next call."""
        ...

    def keys(
        self,
        store: str | None,
        prefix: str = "",
        *,
        limit: int = 100,
        cursor: str | None = None,
        values: bool = False,
        actors: bool = False,
    ) -> tuple[list[Entry], str | None]: ...

    def query(self, store: str | None, query: str) -> tuple[list[Entry], str | None]:
        """Return what was found, and the token of the next page."""
        ...

    def delete_bulk_each(self, store: str | None, *items: Item) -> list[tuple[str, str | None]]:
        """Return each item's key, and the code of its error."""
        ...

    def batch(self, store: str | None, *items: Item) -> list[tuple[str, str, str | None]]:
        """Write or delete items; return each item's key, its outcome, and the ETag of what was written."""
        ...

    def change(self, store: str | None, name: str, key: str, once: str | None = None, **fields: Any) -> Any:
        """Change a value where it is: `name` is increment, append, get-and-set or touch. Return the only field of the
        answer: the number, the length, the value before (None if there was none), or whether there is a value.
        `once` is an Idempotency-Key.
        """
        ...

    def exists(self, store: str | None, key: str) -> bool: ...
