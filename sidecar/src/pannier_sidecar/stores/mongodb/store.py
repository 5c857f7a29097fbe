"""The store: each call is one statement, or one transaction of several."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Final

from pannier_sidecar.network.connections import Connections
from pannier_sidecar.state.cursors import etag_page, first_after, key_before
from pannier_sidecar.state.errors import StoreError, StoreUnavailableError
from pannier_sidecar.state.feeds import ChangesBy, KeyETag
from pannier_sidecar.state.joining import joined
from pannier_sidecar.state.store import Feature, KeyPage, Store, StoredValue, key_page

from . import client, errors, layout
from .bulk import write_each
from .errors import CLIENT_ERRORS
from .settings import read_settings
from .transactions import write_together
from .writing import write_one

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AsyncExitStack

    from pannier_sidecar.state.feeds import ETagPage
    from pannier_sidecar.state.prefilter import Needed
    from pannier_sidecar.state.requests import Delete, Get, Set, Write
    from pannier_sidecar.state.store import Setting

MAX_KEYS_BYTES: Final = 8 * 1024 * 1024
"""Bytes of keys in one read: half of what a command may hold."""


class MongoDBStore(Store):
    """State in one MongoDB collection, which Dapr's sidecars may use at the same time."""

    features = frozenset(Feature)
    keeps_expiry = True
    changes_by = ChangesBy.POLL

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings (canonical names, durations in seconds); connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._opened: client.Server | None = None

    async def _open(self, resources: AsyncExitStack) -> None:
        settings = self._settings
        connections = Connections(0, settings.timeout / 2)
        resources.callback(connections.close)
        try:
            connected = client.connect(settings, connections)
            resources.push_async_callback(connected.close)
            self._opened = await client.verify(connected, settings)
        except CLIENT_ERRORS as error:
            raise errors.translate(error, settings, is_write=False) from error
        resources.callback(self._forget)

    def _forget(self) -> None:
        self._opened = None

    async def ping(self) -> None:
        opened = self._server
        try:
            await client.probe(opened)
        except CLIENT_ERRORS as error:
            raise errors.translate(error, opened.settings, is_write=False) from error

    async def get(self, get: Get) -> StoredValue | None:
        opened = self._server
        try:
            found = await opened.collection(strong=get.strong).find_one({"_id": get.key})
        except CLIENT_ERRORS as error:
            raise errors.translate(error, opened.settings, is_write=False) from error
        return None if found is None else layout.stored_value(found, time())

    async def set(self, write: Set) -> None:
        await write_one(self._server, write)

    async def delete(self, write: Delete) -> None:
        await write_one(self._server, write)

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        opened = self._server
        collection = opened.collection(strong=any(get.strong for get in gets))
        found: dict[str, StoredValue | StoreError | None] = {}
        try:
            for keys in _chunks(dict.fromkeys(get.key for get in gets)):
                documents = collection.find({"_id": {"$in": keys}}, batch_size=len(keys) + 1)
                found |= {each["_id"]: _entry(each) for each in await documents.to_list()}
        except CLIENT_ERRORS as error:
            raise errors.translate(error, opened.settings, is_write=False) from error
        return [found.get(get.key) for get in gets]

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        try:
            return await write_each(self._server, writes)
        except StoreError as error:
            return [error] * len(writes)

    async def transact(self, writes: Sequence[Write]) -> None:
        opened = self._server
        together = joined(writes)
        if len(together) == 1:
            await write_one(opened, together[0])
        elif together:
            await write_together(opened, together)

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        return await self.candidates(prefix, limit, cursor, ())

    async def candidates(self, prefix: str, limit: int, cursor: str | None, needed: Needed) -> KeyPage:
        return key_page(await self._list(prefix, limit, cursor, needed, strong=False))

    async def etags(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        return await self._list(prefix, limit, cursor, (), strong=True)

    async def _list(self, prefix: str, limit: int, cursor: str | None, needed: Needed, *, strong: bool) -> ETagPage:
        opened = self._server
        bounds = {"$gte": prefix} if cursor is None else {"$gt": key_before(cursor, prefix)}
        following = first_after(prefix)
        if following is not None:
            bounds["$lt"] = following
        wanted = {"_id": bounds, "_ttl": layout.alive(time()), **layout.containing(needed)}
        fields = {"_id": 1, "_etag": 1}
        found = opened.collection(strong=strong).find(
            wanted, fields, sort=[("_id", 1)], limit=limit + 1, batch_size=limit + 1
        )
        try:
            entries = [KeyETag(each["_id"], layout.etag_of(each)) for each in await found.to_list()]
        except CLIENT_ERRORS as error:
            raise errors.translate(error, opened.settings, is_write=False) from error
        return etag_page(entries, limit)

    @property
    def _server(self) -> client.Server:
        if self._opened is None:
            raise StoreUnavailableError("the MongoDB store is not open")
        return self._opened


def _chunks(keys: Iterable[str]) -> Iterator[list[str]]:
    """Cut keys into lists that one command can hold."""
    chunk: list[str] = []
    room = MAX_KEYS_BYTES
    for key in keys:
        room -= 4 * len(key) + 16  # bytes of UTF-8 at most, and what BSON needs beside them
        if room < 0 and chunk:
            yield chunk
            chunk, room = [], MAX_KEYS_BYTES
        chunk.append(key)
    if chunk:
        yield chunk


def _entry(found: layout.Document) -> StoredValue | StoreError | None:
    try:
        return layout.stored_value(found, time())
    except StoreError as error:
        return error
