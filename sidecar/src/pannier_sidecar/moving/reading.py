"""A store and a file of JSON lines as sources: both can be read in batches of items, any number of times."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final, Protocol

from pannier_sidecar.large_values.layout import MARK
from pannier_sidecar.large_values.part_store import parts_of
from pannier_sidecar.moving.deciding import next_size
from pannier_sidecar.moving.items import AppKey, Batch, Item, Unread, key_of
from pannier_sidecar.moving.json_lines import InvalidLineError, item_of
from pannier_sidecar.state.errors import NotSupportedError, StoreError, StoreUnavailableError
from pannier_sidecar.state.requests import PARTITION, Get, Pattern, RetryPolicy
from pannier_sidecar.state.retries import attempt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pannier_sidecar.moving.key_list import KeyList
    from pannier_sidecar.state.keys import KeyScheme
    from pannier_sidecar.state.store import KeyPage, Store, StoredValue

PATIENCE: Final = RetryPolicy(interval_ms=100, threshold=6, pattern=Pattern.EXPONENTIAL)
"""How often to retry a store that does not answer. The pauses add up to six seconds: enough for a server to restart or
a replica to take over.
"""
LISTED_AT_ONCE: Final = 1000
"""Keys of one page of a store's list."""
MAX_KEYS: Final = 200
"""Keys of a batch."""
MAX_BYTES: Final = 8 * 1024 * 1024
"""Bytes that a batch should hold, so that large values need little memory; a value is never divided."""


class Source(Protocol):
    """Where items come from."""

    @property
    def total(self) -> int:
        """How many keys or lines there are."""

    def batches(self) -> AsyncIterator[Batch]:
        """Go through all of them, from the beginning. Raises StoreUnavailableError."""


class StoreSource:
    """An app's keys in a store."""

    def __init__(self, store: Store, scheme: KeyScheme, keys: KeyList):
        """Call `list_keys` before anything else: it fills `keys`."""
        self._store = store
        self._scheme = scheme
        self._keys = keys
        self._keeps_parts = parts_of(store) is not None
        self.passed_over = 0
        """Listed keys that are neither the app's nor its actors'."""

    @property
    def total(self) -> int:
        return len(self._keys)

    async def list_keys(self) -> None:
        """Collect the stored keys of the app and its actors. Raises StoreError."""
        for prefix in self._scheme.prefixes:
            cursor: str | None = None
            while True:
                page = await self._page(prefix, cursor)
                ours = [stored for stored, place in page.placed if self._is_ours(stored, place)]
                self.passed_over += len(page.keys) - len(ours) - sum(map(self._scheme.is_beside, page.keys))
                self._keys.add(ours)
                cursor = page.cursor
                if cursor is None:
                    break

    def _is_ours(self, stored: str, partition: str | None) -> bool:
        """Return whether a stored key is the app's or its actors'. Raises NotSupportedError if it is in a partition of
        another name: it would be another key elsewhere.
        """
        key = key_of(self._scheme, stored)
        if key is not None and partition not in (None, key.metadata(self._scheme).get(PARTITION)):
            raise NotSupportedError(
                f"{key} was written with partitionKey {partition}, which the target could not keep; write it without "
                "partitionKey, or delete it"
            )
        return key is not None

    async def list_parts(self, beginning: str) -> None:
        """Collect the stored keys of the parts of large values too. Raises StoreError."""
        cursor: str | None = None
        while True:
            page = await self._page(beginning, cursor)
            self._keys.add(page.keys)
            cursor = page.cursor
            if cursor is None:
                break

    async def batches(self) -> AsyncIterator[Batch]:
        size, number = MAX_KEYS // 8, 0
        while rows := self._keys.after(number, size):
            number = rows[-1][0]
            stored = [key for _, key in rows]
            found = await read(self._store, [(key, self._app_key(key)) for key in stored], self._scheme)
            batch = _batch([self._app_key(key) for key in stored], found, keeps_parts=self._keeps_parts)
            yield batch
            size = next_size(len(rows), sum(len(item.value) for item in batch.items), MAX_KEYS, MAX_BYTES)

    async def _page(self, prefix: str, cursor: str | None) -> KeyPage:
        return await attempt(lambda: self._store.keys(prefix, LISTED_AT_ONCE, cursor), PATIENCE, is_conditional=False)

    def _app_key(self, stored: str) -> AppKey:
        key = key_of(self._scheme, stored)
        assert key is not None, "only keys of the app are in the list"
        return key


class LinesSource:
    """A file of JSON lines. Of a key that is in it twice, the first line is used."""

    def __init__(self, file: IO[bytes], keys: KeyList):
        """`file` can be read again from its beginning; `keys` collects the keys."""
        self._file = file
        self._keys = keys
        file.seek(0)
        self.total = sum(1 for line in file if line.strip())

    async def batches(self) -> AsyncIterator[Batch]:
        self._file.seek(0)
        items: list[Item] = []
        unread: list[Unread] = []
        size = 0
        for number, line in enumerate(self._file, 1):
            if not line.strip():
                continue
            try:
                items.append(self._item(number, line))
            except InvalidLineError as broken:
                unread.append(Unread(f"line {number}", str(broken)))
            size += len(line)
            if len(items) + len(unread) >= MAX_KEYS or size >= MAX_BYTES:
                yield Batch(tuple(items), tuple(unread))
                items, unread, size = [], [], 0
        if items or unread:
            yield Batch(tuple(items), tuple(unread))

    def _item(self, number: int, line: bytes) -> Item:
        item = item_of(line)
        identity = "||".join((item.key.actor_type, item.key.actor_id, item.key.key))
        first = self._keys.number_of(identity, number)
        if first != number:
            raise InvalidLineError(f"{item.key} stands in line {first} already; remove one of them")
        return item


async def read(
    store: Store, keys: Sequence[tuple[str, AppKey]], scheme: KeyScheme
) -> Sequence[StoredValue | StoreError | None]:
    """Return what is stored under each key now. Raises StoreUnavailableError if the store stays unavailable."""
    gets = [Get(stored, strong=True, metadata=key.metadata(scheme)) for stored, key in keys]

    async def call() -> Sequence[StoredValue | StoreError | None]:
        found = await store.bulk_get(gets)
        for entry in found:
            if isinstance(entry, StoreUnavailableError):
                raise entry
        return found

    return await attempt(call, PATIENCE, is_conditional=False)


def _batch(
    keys: Sequence[AppKey], found: Sequence[StoredValue | StoreError | None], *, keeps_parts: bool = False
) -> Batch:
    items: list[Item] = []
    unread: list[Unread] = []
    for key, entry in zip(keys, found, strict=True):
        if isinstance(entry, StoreError):
            unread.append(Unread(str(key), str(entry)))
        elif entry is not None and entry.value.startswith(MARK) and not keeps_parts:
            unread.append(Unread(str(key), 'it is kept in parts; write largeValues: "true" in the component'))
        elif entry is not None:
            items.append(Item(key, entry.value, entry.expires_at))
    return Batch(tuple(items), tuple(unread), len(keys) - len(items) - len(unread))
