"""Calls about lists of keys: a page of what the app or its actors have stored, and the deletion of an actor's state."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec import Struct

from .actors import ActorState
from .bulk_reads import BulkItem, read_values
from .errors import (
    ActorOperationFailedError,
    ListingNotSupportedError,
    MalformedRequestError,
    OperationFailedError,
    StoreError,
)
from .keys import SEPARATOR
from .listing import ListedKey, Listing, Owner, own_keys
from .requests import Delete, Get, WriteItem, in_partition
from .store import Feature

if TYPE_CHECKING:
    from .bytes_in_flight import BytesInFlight
    from .directory import Directory, ServedStore
    from .limits import Limits
    from .requests import ActorDeleteRequest, KeysRequest, PrefixDeleteRequest, Write

_ACTOR_DELETE: Final = "ERR_ACTOR_STATE_DELETE"
_PREFIX_DELETE: Final = "ERR_STATE_DELETE_KEYS"


class ListedKeys(Struct, frozen=True):
    """A page of keys."""

    items: Sequence[BulkItem]
    cursor: str | None
    owners: Sequence[Owner | None]
    """The actor of each item; None: the key is the app's own."""


class DeletedKeys(Struct, frozen=True):
    """What one call has deleted of an actor's state, or of the keys with a prefix."""

    deleted: int
    """Number of keys that were found and are deleted now."""
    cursor: str | None
    """Sent back to delete the next ones; None: none is left."""


class Calls(Protocol):
    """What is needed of the service: it keeps a store open during a call, and counts the call."""

    directory: Directory

    async def counted(self, served: ServedStore, operation: str, call: Coroutine[Any, Any, Any]) -> Any:
        """Await a call of a store. Raises its StoreError."""

    async def write_each(
        self,
        served: ServedStore,
        operation: str,
        items: Sequence[WriteItem],
        writes: Sequence[Write],
        code: str,
        what: str,
    ) -> None:
        """Carry out independent writes. Raises OperationFailedError, which names the items that failed."""


class KeyLists:
    """The calls that list keys of a store."""

    def __init__(self, calls: Calls, limits: Limits, bytes_in_flight: BytesInFlight):
        self._calls = calls
        self._largest_answer = limits.answer
        self._max_cursor = limits.cursor
        self._bytes_in_flight = bytes_in_flight

    async def keys(self, request: KeysRequest) -> ListedKeys:
        """List the app's own keys that begin with a prefix, or those of its actors.

        Raises StoreNotFoundError, StoreNotReadyError, ListingNotSupportedError, OperationFailedError; and for actors
        ActorStoreMissingError, or MalformedRequestError if another store holds their state.
        """
        served = self._calls.directory.find(request.store)
        _require_listing(served)
        if request.of_actors:
            self._require_actors(served)
        try:
            listed: ListedKeys = await self._calls.counted(served, "keys", self._page(served, request))
        except StoreError as error:
            what = f"failed listing keys of state store {served.name}"
            raise OperationFailedError("ERR_STATE_KEYS", what, [(request.prefix, error)]) from error
        return listed

    async def _page(self, served: ServedStore, request: KeysRequest) -> ListedKeys:
        if request.of_actors:
            listing = self._actors_keys(served, request.prefix)
        else:
            listing = own_keys(served, request.prefix, self._max_cursor)
        found, cursor = await listing.page(request.limit, request.cursor)
        keys, owners = [each.key for each in found], [each.owner for each in found]
        if not request.with_values:
            return ListedKeys([BulkItem(key) for key in keys], cursor, owners)
        gets = [Get(each.stored, metadata=_place(served, each)) for each in found]
        values = await read_values(served.store, keys, gets, self._largest_answer, self._bytes_in_flight)
        return ListedKeys(values, cursor, owners)

    def _actors_keys(self, served: ServedStore, prefix: str) -> Listing:
        def read(stored: str) -> ListedKey | None:
            parts = served.keys.listed_of_actor(stored)
            if parts is None or not SEPARATOR.join(parts).startswith(prefix):
                return None
            return ListedKey(stored, parts[2], Owner(parts[0], parts[1]))

        return Listing(served.store, served.keys.actors_prefix(prefix), read, self._max_cursor)

    def _require_actors(self, served: ServedStore) -> None:
        holder = self._calls.directory.actor_store()
        if served is not holder:
            raise MalformedRequestError(
                f"state store {served.name} doesn't hold the state of actors", f"list the keys of store {holder.name}"
            )

    async def delete_prefix(self, request: PrefixDeleteRequest) -> DeletedKeys:
        """Delete up to `limit` of the app's own keys that begin with a prefix.

        A key that is written meanwhile may stay. As in `delete_actor_state`, the deletions are independent. Raises
        StoreNotFoundError, StoreNotReadyError, ListingNotSupportedError, MalformedRequestError if there is no prefix,
        and OperationFailedError.
        """
        served = self._calls.directory.find(request.store)
        _require_listing(served)
        if not request.prefix:
            raise MalformedRequestError("prefix is missing", "write what the keys begin with")
        listing = own_keys(served, request.prefix, self._max_cursor)
        what = f"failed deleting keys of state store {served.name}"
        try:
            found, cursor = await self._calls.counted(served, "keys", listing.page(request.limit, request.cursor))
        except StoreError as error:
            raise OperationFailedError(_PREFIX_DELETE, what, [(request.prefix, error)]) from error
        if found:
            items = [WriteItem(each.key) for each in found]
            writes = [Delete(each.stored, metadata=_place(served, each)) for each in found]
            await self._calls.write_each(served, "bulk_delete", items, writes, _PREFIX_DELETE, what)
        return DeletedKeys(len(found), cursor)

    async def delete_actor_state(self, request: ActorDeleteRequest) -> DeletedKeys:
        """Delete up to `limit` keys of one actor. A key that is written meanwhile may stay.

        The deletions are independent: if one fails, the others happen nevertheless, and the call can be made again.
        Raises ReservedActorTypeError, ActorStoreMissingError, StoreNotReadyError, ListingNotSupportedError,
        MalformedRequestError, and OperationFailedError.
        """
        actor = ActorState(self._calls.directory, request.actor_type, request.actor_id)
        served = actor.served
        prefix = actor.prefix()
        _require_listing(served)
        listing = Listing(served.store, prefix, lambda stored: _after(prefix, stored), self._max_cursor)
        try:
            found, cursor = await self._calls.counted(served, "keys", listing.page(request.limit, request.cursor))
        except StoreError as error:
            raise ActorOperationFailedError(_ACTOR_DELETE, "error deleting actor state", error) from error
        if found:
            items = [WriteItem(each.key) for each in found]
            writes = [Delete(each.stored, metadata=actor.metadata) for each in found]
            await self._calls.write_each(
                served, "bulk_delete", items, writes, _ACTOR_DELETE, "error deleting actor state"
            )
        return DeletedKeys(len(found), cursor)


def _require_listing(served: ServedStore) -> None:
    if not served.supports(Feature.KEYS_LIKE):
        raise ListingNotSupportedError(served.name)


def _place(served: ServedStore, listed: ListedKey) -> Mapping[str, str]:
    """Return the metadata by which stores with partitions find a key."""
    if listed.partition is None and listed.owner is not None:
        return in_partition(served.keys.actor_partition(*listed.owner))
    return in_partition(listed.partition)


def _after(prefix: str, stored: str) -> ListedKey | None:
    """Read a stored key of the one actor whose keys have that prefix. With one more separator, it is another app's."""
    key = stored[len(prefix) :]
    return None if not key or SEPARATOR in key else ListedKey(stored, key)
