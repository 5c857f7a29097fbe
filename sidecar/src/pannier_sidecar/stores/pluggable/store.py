"""The store: which calls of the component each operation makes, and what it refuses because the component would not
keep it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from pannier_sidecar.network.answers import read_in_parts
from pannier_sidecar.protobuf import MalformedMessageError, decode
from pannier_sidecar.state.errors import (
    ETagMismatchError,
    KeyRefusedError,
    KitError,
    NotSupportedError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
    TransactionTooLargeError,
)
from pannier_sidecar.state.joining import joined, with_distinct_keys
from pannier_sidecar.state.preconditions import exists_already, mismatch
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.store import Feature, Setting, Store, StoredValue, or_error

from . import client, errors, layout
from .client import Abilities, Client
from .messages import (
    BulkGetRequest,
    BulkGetResponse,
    BulkStateItem,
    GetResponse,
    MultiMaxSizeResponse,
    TransactionalStateRequest,
)
from .proving import Proofs
from .settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AsyncExitStack

    from msgspec import Struct

AT_ONCE: Final = 64
"""Maximum number of calls that one bulk call has in flight together."""
BULK_KEYS: Final = 1000
"""Maximum number of keys in one message."""

_Answer = TypeVar("_Answer", bound="Struct")


class _Limit(NamedTuple):
    """How many operations a transaction may have, as the component said on a connection."""

    connection: int = 0
    operations: int | None = None


class PluggableStore(Store):
    """State in a pluggable component. Its features are those that the component claims and serves."""

    features = frozenset[Feature]()

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings, completed by `settings.chosen`; connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._opened: Client | None = None
        self._proofs = Proofs(self._settings.where, self.get)
        self._has_bulk_get = True
        self._may_limit_transactions = False
        self._limit = _Limit()

    async def _open(self, resources: AsyncExitStack) -> None:
        opened = Client(self._settings, self._begin)
        resources.push_async_callback(opened.close)
        self._opened = opened
        await opened.open()
        self._refuse_actors()

    def _refuse_actors(self) -> None:
        """Raise StoreRefusedError if the component should hold the state of actors and can't."""
        needed = {Feature.ETAG: "ETags", Feature.TRANSACTIONAL: "transactions"}
        lacking = " and no ".join(words for feature, words in needed.items() if feature not in self.features)
        if self._settings.holds_actor_state and lacking:
            raise StoreRefusedError(
                f"{self._settings.where} has no {lacking}, which actors need; remove actorStateStore"
            )

    def _begin(self, abilities: Abilities) -> None:
        """Take what the component that has just been connected says of itself."""
        self.features = abilities.features  # type: ignore[misc]  # each component has its own
        self._may_limit_transactions = abilities.may_limit_transactions
        self._has_bulk_get = True
        self._proofs.begin(abilities.features)

    async def ping(self) -> None:
        """Have the component answer; one without Ping answers that it has none."""
        try:
            await self._client.call(client.PING)
        except NotSupportedError:
            return

    @property
    def _client(self) -> Client:
        if self._opened is None:
            raise StoreUnavailableError("the store is not open")
        return self._opened

    # --- reading --------------------------------------------------------------------------------------------------

    async def get(self, get: Get) -> StoredValue | None:
        answer = await self._client.call(client.GET, layout.get_request(get))
        return self._stored_value(self._decoded(GetResponse, answer))

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        """Read the keys by BulkGet or, if the component does not serve it, one by one."""
        distinct = list({get.key: get for get in gets}.values())
        found: dict[str, StoredValue | StoreError | None] = {}
        for at in range(0, len(distinct), BULK_KEYS):
            for part in await self._read_some(distinct[at : at + BULK_KEYS]):
                found |= part
        return [found[get.key] for get in gets]

    async def _read_some(self, gets: Sequence[Get]) -> Sequence[Mapping[str, StoredValue | StoreError | None]]:
        if self._has_bulk_get:
            try:
                return await read_in_parts(self._read_together, gets)
            except NotSupportedError:
                self._has_bulk_get = False
            except KeyRefusedError:
                pass  # one by one, only those keys are refused
            except KitError:
                raise  # the component answers the whole call
            except StoreError as error:
                return [{get.key: error for get in gets}]
        found: dict[str, StoredValue | StoreError | None] = {}
        for at in range(0, len(gets), AT_ONCE):
            some = gets[at : at + AT_ONCE]
            values = await asyncio.gather(*(or_error(self.get(get)) for get in some))
            found |= zip((get.key for get in some), values, strict=True)
        return [found]

    async def _read_together(self, gets: Sequence[Get]) -> dict[str, StoredValue | StoreError | None]:
        request = BulkGetRequest([layout.get_request(get) for get in gets])
        answer = self._decoded(BulkGetResponse, await self._client.call(client.BULK_GET, request))
        found: dict[str, StoredValue | StoreError | None] = dict.fromkeys(get.key for get in gets)
        for item in answer.items:
            if item.key not in found:
                raise StoreRefusedError(f"{self._settings.where} answered with a key that was not asked for")
            if item.error:
                found[item.key] = StoreRefusedError(f"{self._settings.where} could not read it; its log may say why")
                continue
            try:
                found[item.key] = self._stored_value(item)
            except StoreError as error:
                found[item.key] = error
        return found

    def _decoded(self, kind: type[_Answer], data: bytes) -> _Answer:
        try:
            return decode(kind, data)
        except MalformedMessageError as error:
            raise errors.malformed(self._settings, kind.__name__) from error

    def _stored_value(self, found: GetResponse | BulkStateItem) -> StoredValue | None:
        return layout.stored_value(found, self._settings, has_etags=Feature.ETAG in self.features)

    # --- writing --------------------------------------------------------------------------------------------------

    async def set(self, write: Set) -> None:
        await self._write(write)

    async def delete(self, write: Delete) -> None:
        await self._write(write)

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        """Carry out the writes by calls of their own: BulkSet and BulkDelete do not say which of them failed."""
        failures: list[StoreError | None] = []
        for run in with_distinct_keys(writes, AT_ONCE):
            failures += await asyncio.gather(*(or_error(self._write(writes[place])) for place in run))
        return failures

    async def transact(self, writes: Sequence[Write]) -> None:
        if not writes:
            return
        connection = await self._client.open()
        if Feature.TRANSACTIONAL not in self.features:
            raise NotSupportedError(f"{self._settings.where} has no transactions")
        limit = await self._largest_transaction(connection)
        if limit is not None and len(writes) > limit:
            raise TransactionTooLargeError(limit)
        operations = joined(writes)
        for write in operations:
            self._refuse_unkept(write)
        await self._proofs.require(operations, self._send_together, together=True)
        try:
            await self._send_together(operations, connection)
        except ETagMismatchError as error:
            raise await self._which_mismatches(operations, error) from error

    async def _largest_transaction(self, connection: int) -> int | None:
        """Return how many operations a transaction may have on the connection, None if any number.

        As Dapr, ask before the first transaction and no earlier, since some components fail at this call although they
        serve it; and take any failure for no limit.
        """
        if self._may_limit_transactions and self._limit.connection != connection:
            found = 0
            with suppress(StoreError):
                answer = await self._client.call(client.MULTI_MAX_SIZE, on=connection)
                found = self._decoded(MultiMaxSizeResponse, answer).max_size
            self._limit = _Limit(connection, found if found > 0 else None)
        return self._limit.operations if self._limit.connection == connection else None

    async def _write(self, write: Write) -> None:
        connection = await self._client.open()
        self._refuse_unkept(write)
        if write.is_conditional:
            await self._proofs.require([write], self._send_each)
        try:
            await self._send(write, connection)
        except ETagMismatchError as error:
            raise _with_key(error, write) from error

    def _refuse_unkept(self, write: Write) -> None:
        """Raise NotSupportedError if the component does not claim what the write asks for."""
        where = self._settings.where
        has_etags = Feature.ETAG in self.features
        if write.is_conditional and not has_etags:
            asked = "first-write" if write.if_absent else "a write with an ETag"
            raise NotSupportedError(f"{where} keeps no ETags (feature ETAG), so it can't do {asked}; use last-write")
        if not isinstance(write, Set):
            return
        if write.ttl is not None and Feature.TTL not in self.features:
            raise NotSupportedError(f"{where} lets nothing expire (feature TTL); leave ttlInSeconds out")
        if not write.value and not has_etags:
            raise NotSupportedError(f"{where} keeps no ETags, so an empty value would look like none; write more")

    async def _send_each(self, writes: Sequence[Write]) -> None:
        for write in writes:
            await self._send(write)

    async def _send(self, write: Write, connection: int | None = None) -> None:
        if isinstance(write, Set):
            await self._client.call(client.SET, layout.set_request(write), is_write=True, on=connection)
        else:
            await self._client.call(client.DELETE, layout.delete_request(write), is_write=True, on=connection)

    async def _send_together(self, writes: Sequence[Write], connection: int | None = None) -> None:
        request = TransactionalStateRequest([layout.operation(write) for write in writes])
        await self._client.call(client.TRANSACT, request, is_write=True, on=connection)

    async def _which_mismatches(self, writes: Sequence[Write], error: ETagMismatchError) -> ETagMismatchError:
        """Return the error that names the key. The component does not say which one it is, so they are read."""
        conditional = [write for write in writes if write.is_conditional]
        if len(conditional) > 1:
            found = await self.bulk_get([Get(write.key) for write in conditional])
            for write, entry in zip(conditional, found, strict=True):
                if not isinstance(entry, StoreError):
                    wrong = mismatch(write, None if entry is None else entry.etag)
                    if wrong is not None:
                        return wrong
        return _with_key(error, conditional[0]) if conditional else error


def _with_key(error: ETagMismatchError, write: Write) -> ETagMismatchError:
    """Return the same kind of error with a text that says what was expected of which key."""
    if write.if_absent:
        return exists_already(write)
    return type(error)(f"key {write.key} does not have ETag {write.if_match}; read it again")
