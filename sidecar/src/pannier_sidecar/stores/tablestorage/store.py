"""`state.azure.tablestorage`: which requests each call makes, and what their answers mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_sidecar.network.expiry_sweeper import ExpirySweeper
from pannier_sidecar.network.many_calls import read_each, write_each
from pannier_sidecar.state.cursors import RangeCursor, read_range_cursor
from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.feeds import ChangesBy, ETagPage, KeyETag
from pannier_sidecar.state.preconditions import absent_or_changed, exists_already
from pannier_sidecar.state.requests import Set
from pannier_sidecar.state.store import Feature, KeyPage, Store, key_page

from . import layout
from .client import MAX_PAGE, Client
from .layout import EntityName, Layout
from .settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AsyncExitStack

    from pannier_sidecar.state.requests import Delete, Get, Write
    from pannier_sidecar.state.store import Setting, StoredValue

    from .layout import Entity

AT_ONCE: Final = 32
"""Maximum number of requests of one bulk call that are in flight together."""
REQUESTS: Final = 100
"""Requests for one page of keys, whose answers may hold only entities that are no keys of this app."""
ATTEMPTS: Final = 10
"""Attempts at a write, while others write and delete the same entity."""
MAX_SWEPT: Final = 100
"""Partitions in which expired keys are looked for."""
PROBE: Final = EntityName("pannier-permission-probe-6d1f0a7c", "never")
"""An entity that is never written."""


class TableStore(Store):
    """State in a table. Azure's reads see every write that was answered; those of Cosmos DB, what its account says."""

    features = frozenset({Feature.ETAG, Feature.TTL, Feature.KEYS_LIKE})
    keeps_expiry = True
    changes_by = ChangesBy.POLL
    max_key_bytes = layout.MAX_KEY_BYTES

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings (canonical names, durations in seconds); connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._layout = Layout(is_cosmos=self._settings.is_cosmos)
        self._opened: tuple[Client, ExpirySweeper[EntityName, str]] | None = None
        self._expiring: set[str] = set()
        """Partitions to which this store has written values that expire."""

    async def _open(self, resources: AsyncExitStack) -> None:
        client = Client(self._settings)
        resources.push_async_callback(client.close)
        sweeper: ExpirySweeper[EntityName, str] = ExpirySweeper(client.delete)
        resources.push_async_callback(sweeper.close)
        await client.sign_in(resources)
        self._opened = client, sweeper
        if self._settings.may_create:
            await client.create_table()
        await self.ping()
        await self._prove_permissions()
        if self._settings.cleanup_interval:
            sweeper.sweep_every(self._settings.cleanup_interval, self._sweep)

    async def _prove_permissions(self) -> None:
        """Raise StoreRefusedError if this login may not write or delete: the precondition that is sent never holds."""
        await self._client.prove_adding()
        was_written = await self._client.replace(PROBE, b"{}", layout.NEVER)
        await self._client.delete(PROBE, layout.NEVER)
        if was_written:
            raise StoreRefusedError(
                f"{self._settings.what} does not compare ETags, so writes could be lost; use Azure's"
            )

    async def ping(self) -> None:
        await self._client.get(PROBE)

    # --- reading ------------------------------------------------------------------------------------------------------

    async def get(self, get: Get) -> StoredValue | None:
        name = self._layout.name_of(get.key)
        found = await self._client.get(name)
        if found is not None and found.has_expired:
            self._sweeper.remove(name, found.etag)
            return None
        return None if found is None else found.stored

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        return await read_each(self.get, gets, AT_ONCE)

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        return key_page(await self._list(prefix, limit, cursor))

    async def etags(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        page = await self._list(prefix, limit, cursor)
        return page if all(entry.etag for entry in page.entries) else await super().etags(prefix, limit, cursor)

    async def _list(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        """List a page, from each range of entities that has keys with the prefix."""
        filters = layout.filters_for(prefix)
        place, marker = 0, ""
        if cursor is not None:
            begin = read_range_cursor(cursor, prefix, len(filters))
            place, marker = begin.place, begin.marker
        page: list[KeyETag] = []
        for _ in range(REQUESTS):
            if place == len(filters) or len(page) == limit:
                break
            entities, marker = await self._client.list_page(filters[place], limit - len(page), marker)
            page += self._listed(entities, prefix)
            place += not marker
        more = place < len(filters)
        return ETagPage(page, str(RangeCursor(prefix, place, marker)) if more else None)

    def _listed(self, entities: Iterable[Entity], prefix: str) -> Iterator[KeyETag]:
        for each in entities:
            key = None if each.has_expired else self._layout.key_of(EntityName(each.partition, each.row))
            if key is not None and key.startswith(prefix):
                etag = layout.shown_etag(each.etag, each.expires_at) if layout.is_etag(each.etag) else ""
                yield KeyETag(key, etag)

    # --- writing ------------------------------------------------------------------------------------------------------

    async def set(self, write: Set) -> None:
        await self._write(write)

    async def delete(self, write: Delete) -> None:
        await self._write(write)

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        return await write_each(self._write, writes, AT_ONCE)

    async def _write(self, write: Write) -> None:
        name, etag = self._layout.name_of(write.key), layout.condition_of(write)
        if not isinstance(write, Set):
            await self._delete(write, name, etag)
            return
        expires_at = layout.expiry_of(write)
        if expires_at is not None and len(self._expiring) < MAX_SWEPT:
            self._expiring.add(name.partition)
        body = layout.body_of(write, name, expires_at)
        if write.if_absent:
            await self._create(write, name, body)
        elif etag is None:
            await self._put(name, body)
        elif not await self._client.replace(name, body, etag):
            raise absent_or_changed(write)

    async def _put(self, name: EntityName, body: bytes) -> None:
        """Write an entity, whatever it holds. Azure may refuse that while another writer adds or deletes it."""
        for _ in range(ATTEMPTS):
            if await self._client.replace(name, body, None):
                return
        raise StoreUnavailableError("the key is written and deleted too often by others; try again")

    async def _create(self, write: Set, name: EntityName, body: bytes) -> None:
        """Add an entity, or replace one that has expired."""
        for _ in range(ATTEMPTS):
            if await self._client.add(body):
                return
            found = await self._client.get(name)
            if found is None:
                continue
            if not found.has_expired:
                raise exists_already(write)
            if await self._client.replace(name, body, found.etag):
                return
        raise StoreUnavailableError("the key is written and deleted too often to find it absent; try again")

    async def _delete(self, write: Delete, name: EntityName, etag: str | None) -> None:
        if write.if_absent:
            found = await self._client.get(name)
            if found is not None and not found.has_expired:
                raise exists_already(write)
        elif not await self._client.delete(name, etag) and etag is not None:
            raise absent_or_changed(write)

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Find expired keys, a limited number at once, where this store has written any."""
        for partition in tuple(self._expiring):
            marker = ""
            for _ in range(REQUESTS):
                entities, marker = await self._client.list_page(layout.expired_in(partition), MAX_PAGE, marker)
                for each in entities:
                    self._sweeper.remove(EntityName(each.partition, each.row), each.etag)
                if not marker:
                    break

    @property
    def _client(self) -> Client:
        if self._opened is None:
            raise StoreUnavailableError("the store is not open")
        return self._opened[0]

    @property
    def _sweeper(self) -> ExpirySweeper[EntityName, str]:
        assert self._opened is not None
        return self._opened[1]
