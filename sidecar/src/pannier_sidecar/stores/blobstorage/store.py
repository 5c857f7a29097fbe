"""`state.azure.blobstorage`: which requests each call makes, and what their answers mean."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Final

from pannier_sidecar.network.many_calls import read_each, write_each
from pannier_sidecar.state.cursors import RangeCursor, read_range_cursor
from pannier_sidecar.state.errors import KeyRefusedError, StoreError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.feeds import ChangesBy, ETagPage, KeyETag
from pannier_sidecar.state.preconditions import absent_or_changed, exists_already, mismatch
from pannier_sidecar.state.requests import Set
from pannier_sidecar.state.store import Feature, KeyPage, Store, key_page

from . import layout
from .client import Client
from .settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AsyncExitStack

    from pannier_sidecar.state.requests import Delete, Get, Write
    from pannier_sidecar.state.store import Setting, StoredValue

    from .client import Blob
    from .listing import ListedBlob

AT_ONCE: Final = 32
"""Maximum number of requests of one bulk call that are in flight together."""
REQUESTS: Final = 100
"""Requests for one page of keys, whose answers may hold only blobs that are no keys of this app."""
ATTEMPTS: Final = 10
"""Attempts at a write of version v1, while others write the same blob."""
PROBE: Final = "pannier-permission-probe-6d1f0a7c"
"""A blob that is never written."""


class _BlobsStore(Store):
    """State in a container. Azure's reads see every write that was answered, whatever consistency is asked for."""

    features = frozenset({Feature.ETAG, Feature.KEYS_LIKE})
    changes_by = ChangesBy.POLL
    max_key_bytes = layout.MAX_KEY_BYTES

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings (canonical names, durations in seconds); connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._opened: Client | None = None

    async def _open(self, resources: AsyncExitStack) -> None:
        client = Client(self._settings)
        resources.push_async_callback(client.close)
        await client.sign_in(resources)
        self._opened = client
        if self._settings.may_create:
            await client.create_container()
        await self.ping()
        await self._prove_permissions()

    async def _prove_permissions(self) -> None:
        """Raise StoreRefusedError if this login may not write or delete: the precondition that is sent never holds."""
        never = {"If-Match": layout.NEVER}
        was_written = await self._client.put(PROBE, b"", {"x-ms-blob-type": "BlockBlob", **never})
        await self._client.delete(PROBE, never)
        if was_written:
            raise StoreRefusedError(
                f"{self._settings.what} does not compare ETags, so writes could be lost; use Azure's"
            )

    async def ping(self) -> None:
        await self._client.head(PROBE)

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        return await read_each(self.get, gets, AT_ONCE)

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        return await write_each(self._write, writes, AT_ONCE)

    async def set(self, write: Set) -> None:
        await self._write(write)

    async def delete(self, write: Delete) -> None:
        await self._write(write)

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        return key_page(await self._list(prefix, limit, cursor))

    async def etags(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        page = await self._list(prefix, limit, cursor)
        return page if all(entry.etag for entry in page.entries) else await super().etags(prefix, limit, cursor)

    async def _list(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        """List a page, from each range of names that has keys with the prefix."""
        ranges = self._ranges(prefix)
        place, marker = 0, ""
        if cursor is not None:
            begin = read_range_cursor(cursor, prefix, len(ranges))
            place, marker = begin.place, begin.marker
        page: list[KeyETag] = []
        for _ in range(REQUESTS):
            if place == len(ranges) or len(page) == limit:
                break
            blobs, marker = await self._client.list_page(ranges[place], limit - len(page), marker)
            page += [KeyETag(key, each.etag) for each in blobs if (key := self._key_of(each, prefix)) is not None]
            place += not marker
        more = place < len(ranges)
        return ETagPage(page, str(RangeCursor(prefix, place, marker)) if more else None)

    @abstractmethod
    async def _write(self, write: Write) -> None:
        """Carry out one write."""

    @abstractmethod
    def _ranges(self, prefix: str) -> Sequence[str]:
        """Return the beginnings of names that keys with a prefix have."""

    @abstractmethod
    def _key_of(self, blob: ListedBlob, prefix: str) -> str | None:
        """Return the key of a blob in a list; None: it has none, or none with this prefix."""

    @property
    def _client(self) -> Client:
        if self._opened is None:
            raise StoreUnavailableError("the store is not open")
        return self._opened


class BlobStore(_BlobsStore):
    """Version v2: the name of a blob is the stored key."""

    async def get(self, get: Get) -> StoredValue | None:
        found = await self._client.get(layout.name_of(get.key))
        return None if found is None else found.stored

    async def _write(self, write: Write) -> None:
        name = layout.name_of(write.key)
        fields = layout.precondition(write)
        if isinstance(write, Set):
            if not await self._client.put(name, write.value, {**layout.fields_of(write), **fields}):
                raise absent_or_changed(write)
        elif write.if_absent:
            if await self._client.head(name) is not None:
                raise exists_already(write)
        else:
            done = await self._client.delete(name, fields)
            if done is False or (done is None and write.if_match is not None):
                raise absent_or_changed(write)

    def _ranges(self, prefix: str) -> Sequence[str]:
        return layout.beginnings(prefix)

    def _key_of(self, blob: ListedBlob, prefix: str) -> str | None:
        key = layout.key_of(blob.name)
        return key if key is not None and key.startswith(prefix) else None


class UnprefixedStore(_BlobsStore):
    """Version v1: the name of a blob is the stored key without the app's id. The whole key is noted with the blob, so
    that another app's key is never taken for it: each write reads the blob first.
    """

    async def get(self, get: Get) -> StoredValue | None:
        found = await self._client.get(self._name_of(get.key))
        self._check_owner(get.key, found)
        return None if found is None else found.stored

    async def _write(self, write: Write) -> None:
        name = self._name_of(write.key)
        layout.precondition(write)
        for _ in range(ATTEMPTS):
            found = await self._client.head(name)
            self._check_owner(write.key, found)
            etag = None if found is None else found.stored.etag
            if (error := mismatch(write, etag)) is not None:
                raise error
            if etag is None and not isinstance(write, Set):
                return
            if await self._send(write, name, {"If-None-Match": "*"} if etag is None else {"If-Match": etag}):
                return
        raise StoreUnavailableError("the key is written too often by others; try again")

    async def _send(self, write: Write, name: str, condition: Mapping[str, str]) -> bool:
        """Write or delete a blob if it is as it was found; return whether that was done."""
        if not isinstance(write, Set):
            return await self._client.delete(name, condition) is True
        fields = {**layout.fields_of(write), layout.KEY_FIELD: layout.record_of(write.key), **condition}
        return await self._client.put(name, write.value, fields)

    def _check_owner(self, key: str, found: Blob | None) -> None:
        if found is not None and found.key is not None and found.key != key:
            raise KeyRefusedError(
                f"the blob of key {key[:80]!r} holds another app's key, because version v1 leaves the app's id out; "
                "write version: v2, or give each app a container; apps that share keys write keyPrefix: name"
            )

    def _ranges(self, prefix: str) -> Sequence[str]:
        return layout.unprefixed_beginnings(prefix)

    def _key_of(self, blob: ListedBlob, prefix: str) -> str | None:
        key = layout.unprefixed_key_of(blob.name, blob.record, prefix)
        return key if key is not None and key.startswith(prefix) else None

    def _name_of(self, key: str) -> str:
        return layout.name_of(layout.unprefixed(key))
