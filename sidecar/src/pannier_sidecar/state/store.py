"""What a state store must do. The interface lives here, with its user; the stores live in `pannier_sidecar.stores`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from enum import Enum
from itertools import repeat
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeVar

from msgspec import Struct

from pannier_crds.secret import Secret

from .errors import NotSupportedError, PartlyUnavailableError, StoreError
from .feeds import ChangesBy, ETagPage, Feed, KeyETag
from .requests import Delete, Get, Set, Write, in_partition

if TYPE_CHECKING:
    from .prefilter import Needed

Found = TypeVar("Found")
Result = TypeVar("Result", contravariant=True)
Setting = str | int | float | bool | Secret | None
"""The value of a component's setting; a text that must not be shown is a Secret."""


class Feature(Enum):
    """What a store can promise, in Dapr's words."""

    ETAG = "ETAG"
    TRANSACTIONAL = "TRANSACTIONAL"
    TTL = "TTL"
    KEYS_LIKE = "KEYS_LIKE"
    """Its keys can be enumerated."""


class StoredValue(Struct, frozen=True, gc=False):
    """A value as it is stored."""

    value: bytes
    etag: str
    expires_at: int | None = None
    """Unix time in seconds; None: never."""


def rfc3339(unix_time: int) -> str:
    """Return a time as Dapr writes `ttlExpireTime`: UTC in whole seconds, at most the last second of the year 9999."""
    return datetime.fromtimestamp(min(unix_time, LAST_TIME), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


LAST_TIME = 253_402_300_799
"""The largest Unix time that RFC 3339 can write; other programs may let their keys live longer."""


class KeyPage(Struct, frozen=True):
    """A page of stored keys, and the cursor of the next one."""

    keys: Sequence[str]
    cursor: str | None
    """Sent back to get the next page; None: there is none. Only the store knows its meaning."""
    partitions: Sequence[str | None] = ()
    """The `partitionKey` that each key was written with, None where a call needs none; empty: no call needs one."""

    @property
    def placed(self) -> list[tuple[str, str | None]]:
        """Each key with its `partitionKey`."""
        return list(zip(self.keys, self.partitions or repeat(None), strict=False))


def key_page(page: ETagPage) -> KeyPage:
    """Return a page without its ETags."""
    return KeyPage([entry.key for entry in page.entries], page.cursor)


class Completion(Protocol[Result]):
    """Receives the end of a begun call: one of its methods is called, once, perhaps before `begin_get` or `begin_write`
    returns.
    """

    def complete(self, result: Result) -> None:
        """Take the result of a call that succeeded."""

    def resume(self, rest: Coroutine[Any, Any, Result]) -> None:
        """Await `rest`, in a task: it returns the result, or raises a StoreError."""


class Store(ABC):
    """A place where state is kept.

    Every method may be called by many tasks at once. Failures are raised as a `StoreError`, never as an error of the
    client library. A store follows the preconditions of `Set` and `Delete` to the letter: it is never silently weaker.
    """

    features: ClassVar[frozenset[Feature]]
    max_key_bytes: int = 64 * 1024
    """Longest stored key in bytes of UTF-8, prefix included."""
    max_transaction: int | None = None
    """Maximum number of operations in a transaction; None: the store has no limit."""
    changes_by: ChangesBy = ChangesBy.NONE
    """How changes of its keys become known; `open` may find out that the server's set-up permits less."""
    feed_lag_s: float = 1.0
    """Maximum of seconds between two `Alive` of its feed while the database answers."""
    keeps_expiry: bool = False
    """Whether it follows `Set.kept_expiry`. A store that counts each TTL from the write on cannot: copying what is left
    would move the end a little with each of many writes.
    """

    def __init__(self, settings: Mapping[str, Setting]):
        """Take typed settings by the catalogue's canonical names, durations in seconds; connect to nothing yet.

        Raises StoreRefusedError for a setting that cannot work, and says what to write instead.
        """
        self._resources = AsyncExitStack()

    def together(self, key: str) -> str:
        """Return what another stored key has to contain so that one transaction can write both; empty: nothing."""
        return ""

    @property
    def unretried(self) -> Store:
        """The same store without retries of a Resiliency: for calls that have a retry policy of their own."""
        return self

    async def open(self) -> None:
        """Connect and prove that the store answers. Raises a StoreError that says what to change.

        If it fails or is cancelled, everything that was opened is closed before the error is raised.
        """
        try:
            await self._open(self._resources)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Release everything; calls in flight may fail. Closing twice is harmless, even if `open` failed."""
        await self._resources.aclose()

    async def _open(self, resources: AsyncExitStack) -> None:
        """Do what `open` promises. Push each thing that must be closed to `resources` before it can fail. They are
        closed in reverse order, both after a failed opening and when the store is closed.
        """
        raise NotImplementedError

    @abstractmethod
    async def ping(self) -> None:
        """Return if the store answers now; raise a StoreError if it does not."""

    async def probe(self) -> None:
        """Return if any part of the store can be reached; raise StoreUnavailableError if no call can succeed now. It is
        not raised if only one of several servers is down, or if the store answers that it is overloaded.
        """
        with suppress(PartlyUnavailableError):
            await self.ping()

    @abstractmethod
    async def get(self, get: Get) -> StoredValue | None:
        """Return what is stored, or None if there is nothing or it has expired."""

    @abstractmethod
    async def set(self, write: Set) -> None:
        """Write the value under a new ETag. Raises ETagMismatchError if the precondition does not hold."""

    @abstractmethod
    async def delete(self, write: Delete) -> None:
        """Remove the key. The caller does not learn whether it was there.

        Raises ETagMismatchError where the precondition does not hold.
        """

    def begin_get(self, get: Get, completion: Completion[StoredValue | None]) -> None:
        """Begin what `get` does, and return at once. Never raises a StoreError.

        Stores that need only one request and its answer override this, and complete the call without a task.
        """
        completion.resume(self.get(get))

    def begin_write(self, write: Write, completion: Completion[None]) -> None:
        """Begin what `set` or `delete` does, and return at once. Never raises a StoreError."""
        completion.resume(self.set(write) if isinstance(write, Set) else self.delete(write))

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        """Return an entry for each key, in the order of the request; the entry of a key that failed is its error."""
        return [await or_error(self.get(get)) for get in gets]

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        """Carry out the writes independently and in order, even after a failure; return each one's error or None. Never
        raises a StoreError: if the store is unreachable, each item has the error.
        """
        return [await or_error(self.set(w) if isinstance(w, Set) else self.delete(w)) for w in writes]

    async def transact(self, writes: Sequence[Write]) -> None:
        """Carry out the writes in order, all or none, preconditions included.

        All preconditions are about the state before the transaction, and are checked before anything is written.
        The error names the failing key. Called only on stores with Feature.TRANSACTIONAL.
        """
        raise NotImplementedError

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        """Return up to `limit` (1 or more) stored keys with a prefix. A key that exists all the time is on some page.

        Raises InvalidCursorError for a cursor that this store never gave. Called only on stores with Feature.KEYS_LIKE.
        """
        raise NotImplementedError

    async def candidates(self, prefix: str, limit: int, cursor: str | None, needed: Needed) -> KeyPage:
        """Return a page as `keys` does. Keys may be left out whose values do not contain what is needed.

        Databases that can search values override this. The cursors are those of `keys`, and a page may be empty before
        the last one.
        """
        return await self.keys(prefix, limit, cursor)

    async def change_mark(self) -> object:
        """Return something that is another one after every change of a key; None: finding that out is not cheap.

        Called often while changes are polled, so that they are found before the interval ends.
        """
        return None

    async def etags(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        """Return a page as `keys` does, with the ETag of each key, as the last write has left it.

        Databases that can list ETags without values override this. Called only on stores with Feature.KEYS_LIKE.
        """
        page = await self.keys(prefix, min(limit, _READ_TOGETHER), cursor)
        gets = [Get(key, strong=True, metadata=in_partition(place)) for key, place in page.placed]
        found = await self.bulk_get(gets)
        entries = []
        for key, entry in zip(page.keys, found, strict=True):
            if isinstance(entry, StoreError):
                raise entry
            if entry is not None:
                entries.append(KeyETag(key, entry.etag))
        return ETagPage(entries, page.cursor)

    def feed(self, prefix: str, since: str | None = None) -> Feed:
        """Return a feed of the changes of stored keys with the prefix; it begins with the first batch that is taken.

        `since` is a position of an earlier feed of this store or of another one over the same database. `feeds.py` has
        the promises. Called only on stores whose `changes_by` is PUSH; the others are polled (`polling.py`).
        """
        return _no_feed()


_READ_TOGETHER: Final = 100
"""Values that are read together where only their ETags are needed."""


async def _no_feed() -> Feed:
    raise NotSupportedError("the store does not report changes")
    yield []


async def raised(error: Exception) -> Any:
    """Raise the error: the rest of a call that was begun and has failed."""
    raise error


async def or_error(call: Awaitable[Found]) -> Found | StoreError:
    """Return what the call returns, or the StoreError that it raises."""
    try:
        return await call
    except StoreError as error:
        return error
