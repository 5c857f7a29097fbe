"""The store: each call is one request; the writes of a bulk call are made concurrently."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from azure.core.exceptions import AzureError, ServiceResponseError
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from pannier_sidecar.network.connections import TooManyConnectionsError
from pannier_sidecar.state.errors import StoreError, StoreUnavailableError
from pannier_sidecar.state.feeds import ChangesBy
from pannier_sidecar.state.joining import joined, with_distinct_keys
from pannier_sidecar.state.store import Feature, KeyPage, Store, StoredValue, or_error

from . import errors, writing
from .client import Client, sign_in
from .errors import CLIENT_ERRORS, WHEN_CLOSED
from .layout import MAX_ID_BYTES, Item, checked_item, id_of, partition_of, stored_value
from .listing import list_etags, list_page
from .settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence
    from contextlib import AsyncExitStack

    from pannier_sidecar.state.feeds import ETagPage
    from pannier_sidecar.state.requests import Delete, Get, Set, Write
    from pannier_sidecar.state.store import Setting


Result = TypeVar("Result")

AT_ONCE: Final = 16
"""Maximum number of writes of one bulk call that are in flight together."""


class CosmosDBStore(Store):
    """State in one container of Cosmos DB, which Dapr's sidecars may use at the same time."""

    features = frozenset({Feature.ETAG, Feature.TRANSACTIONAL, Feature.TTL, Feature.KEYS_LIKE})
    changes_by = ChangesBy.POLL
    max_key_bytes = MAX_ID_BYTES
    max_transaction = writing.MAX_STEPS

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings (canonical names, durations in seconds); connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._opened: Client | None = None

    async def _open(self, resources: AsyncExitStack) -> None:
        settings = self._settings
        try:
            async with asyncio.timeout(settings.timeout):
                self._opened = await sign_in(settings, resources)
        except CLIENT_ERRORS as error:
            raise errors.translate(error, settings, is_write=False) from error
        except errors.PARSE_ERRORS as error:
            raise errors.not_understood(settings, is_write=False) from error
        resources.callback(self._forget)

    def _forget(self) -> None:
        self._opened = None

    async def ping(self) -> None:
        opened = self._client
        await self._answered(opened, _probe(opened), is_write=False)

    async def probe(self) -> None:
        try:
            await self.ping()
        except StoreUnavailableError as error:
            if not errors.is_throttled(error.__cause__):
                raise

    async def get(self, get: Get) -> StoredValue | None:
        opened = self._client
        if get.strong:
            opened.check_strong_reads()
        return await self._answered(opened, _read(opened, get), is_write=False)

    async def set(self, write: Set) -> None:
        await self._write(write)

    async def delete(self, write: Delete) -> None:
        await self._write(write)

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        opened = self._client
        if any(get.strong for get in gets):
            opened.check_strong_reads()
        places = [(id_of(get.key), partition_of(get)) for get in gets]
        if not places:
            return []
        found = await self._answered(opened, _read_all(opened, list(dict.fromkeys(places))), is_write=False)
        return [found.get(place) for place in places]

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        results: list[StoreError | None] = []
        room = asyncio.Semaphore(AT_ONCE)

        async def attempt(write: Write) -> StoreError | None:
            async with room:
                return await or_error(self._write(write))

        for run in with_distinct_keys(writes):
            results += await asyncio.gather(*(attempt(writes[place]) for place in run))
        return results

    async def transact(self, writes: Sequence[Write]) -> None:
        opened = self._client
        together = joined(writes)
        if len(together) == 1:
            await self._write(together[0])
        elif together:
            await self._answered(opened, writing.carry_out_together(opened, together), is_write=True)

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        opened = self._client
        return await self._answered(opened, list_page(opened, prefix, limit, cursor), is_write=False)

    async def etags(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        opened = self._client
        return await self._answered(opened, list_etags(opened, prefix, limit, cursor), is_write=False)

    @property
    def _client(self) -> Client:
        if self._opened is None:
            raise StoreUnavailableError("the Cosmos DB store is not open")
        return self._opened

    async def _write(self, write: Write) -> None:
        opened = self._client
        await self._answered(opened, writing.carry_out(opened, write), is_write=True)

    async def _answered(self, opened: Client, call: Awaitable[Result], *, is_write: bool) -> Result:
        """Await a call within the timeout. Raises a StoreError for the client's errors."""
        try:
            async with opened.connections, asyncio.timeout(opened.settings.timeout):
                return await call
        except TooManyConnectionsError as error:
            if asyncio.iscoroutine(call):
                call.close()
            raise StoreUnavailableError(f"{opened.settings}: {error}") from error
        except (AzureError, TimeoutError) as error:
            raise errors.translate(error, opened.settings, is_write=is_write) from error
        except (*errors.PARSE_ERRORS, *WHEN_CLOSED) as error:
            if self._opened is not opened:
                lost = ServiceResponseError("closed before it answered")
                raise errors.translate(lost, opened.settings, is_write=is_write) from error
            if not isinstance(error, errors.PARSE_ERRORS):
                raise
            raise errors.not_understood(opened.settings, is_write=is_write) from error


async def _probe(opened: Client) -> None:
    if "id" not in await opened.container.read():
        raise errors.NotUnderstoodError


async def _read(opened: Client, get: Get) -> StoredValue | None:
    try:
        item = await opened.container.read_item(id_of(get.key), partition_of(get))
        return stored_value(checked_item(item), opened.default_ttl)
    except CosmosResourceNotFoundError as error:
        if errors.is_absent(error):
            return None
        raise


async def _read_all(opened: Client, places: list[tuple[str, str]]) -> dict[tuple[str, str], StoredValue | StoreError]:
    items = map(checked_item, await opened.container.read_items(places))
    return {(item["id"], item["partitionKey"]): _entry(item, opened.default_ttl) for item in items}


def _entry(item: Item, default_ttl: int | None) -> StoredValue | StoreError:
    try:
        return stored_value(item, default_ttl)
    except StoreError as error:
        return error
