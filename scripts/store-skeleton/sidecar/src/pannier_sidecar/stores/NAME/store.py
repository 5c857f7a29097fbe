"""The store: which call each operation makes, and what its answer means."""

from __future__ import annotations

import random
from itertools import count
from time import time
from typing import TYPE_CHECKING

from pannier_sidecar.state.errors import ETagMismatchError, StoreUnavailableError
from pannier_sidecar.state.store import Feature, Store, StoredValue

from . import layout
from .client import Client
from .settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AsyncExitStack

    from pannier_sidecar.state.requests import Delete, Get, Set
    from pannier_sidecar.state.store import Setting


class CLASSStore(Store):
    """State in TITLE."""

    features = frozenset({Feature.ETAG, Feature.TTL})

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings (canonical names, durations in seconds); connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._client: Client | None = None
        # From a random start they repeat neither those of an earlier run nor those of another sidecar.
        self._etags = count(random.randrange(1, 2**52))

    async def _open(self, resources: AsyncExitStack) -> None:
        client = Client(self._settings)
        resources.push_async_callback(client.close)
        await client.connect()
        resources.callback(self._forget)
        self._client = client
        await self.ping()

    def _forget(self) -> None:
        self._client = None

    async def ping(self) -> None:
        await self._opened.ping()

    async def get(self, get: Get) -> StoredValue | None:
        found = await self._opened.read(get.key)
        return None if found is None else layout.stored_value(found, time())

    async def set(self, write: Set) -> None:
        record = layout.record(write, str(next(self._etags)), time())
        if not await self._opened.write(write.key, record, write.if_match, write.if_absent):
            raise ETagMismatchError(write.key)

    async def delete(self, write: Delete) -> None:
        if not await self._opened.remove(write.key, write.if_match):
            raise ETagMismatchError(write.key)

    @property
    def _opened(self) -> Client:
        if self._client is None:
            raise StoreUnavailableError("the TITLE store is not open")
        return self._client
