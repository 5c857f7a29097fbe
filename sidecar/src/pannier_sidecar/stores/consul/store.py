"""`state.hashicorp.consul`: which requests each call makes to Consul, and what the answers mean."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING

from pannier_sidecar.network.expiry_sweeper import ExpirySweeper
from pannier_sidecar.network.http_client import MAX_CONNECTIONS
from pannier_sidecar.state.cursors import cursor_after, key_before
from pannier_sidecar.state.errors import NotSupportedError, StoreError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.feeds import ChangesBy
from pannier_sidecar.state.preconditions import absent_or_changed
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.store import Feature, KeyPage, Setting, Store, StoredValue

from . import errors, layout
from .client import Client, Limits
from .settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AsyncExitStack

    from pannier_sidecar.state.feeds import Feed

    from .client import OperationError
    from .layout import Entry

ATTEMPTS = 10
"""Attempts at a write that requires an absent key, while others write and delete that key."""
_PROBE = "pannier permission probe 6d1f0a7c-58b4-4f0e-9a57-2c1f3a6be0d9"
"""A key that is never written."""


class ConsulStore(Store):
    """State in Consul's key/value store, laid out as Dapr lays it out."""

    features = frozenset(Feature)
    keeps_expiry = True
    max_key_bytes = 1024  # so that 64 of them go into one transaction, however JSON escapes them
    max_transaction = layout.MAX_OPERATIONS
    changes_by = ChangesBy.PUSH
    feed_lag_s = 3.0

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings (canonical names, durations in seconds); connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._prefix = self._settings.prefix
        self._limits = Limits()
        self._opened: tuple[Client, ExpirySweeper[str, int]] | None = None

    async def _open(self, resources: AsyncExitStack) -> None:
        client = Client(self._settings)
        resources.push_async_callback(client.close)
        sweeper = ExpirySweeper(self._remove)
        resources.push_async_callback(sweeper.close)
        self._opened = client, sweeper
        await self.ping()
        await self._prove_permissions()
        self._limits = await client.limits()
        if self._settings.cleanup_interval:
            sweeper.sweep_every(self._settings.cleanup_interval, self._sweep_all)

    async def ping(self) -> None:
        if not await self._client.leader():
            raise StoreUnavailableError("Consul has no cluster leader; look at consul operator raft list-peers")

    async def get(self, get: Get) -> StoredValue | None:
        name = self._prefix + get.key
        if layout.is_plain(name):
            return self._value(await self._client.read(name, get.strong))
        return self._value((await self._read([name], get.strong)).get(name))

    async def set(self, write: Set) -> None:
        name = self._prefix + write.key
        if not layout.is_plain(name):
            return await self.transact([write])
        self._check_size(write)
        index = 0 if write.if_absent else None if write.if_match is None else layout.index(write)
        if not await self._client.put(name, write.value, layout.flags(write), index):
            if not write.if_absent:
                raise absent_or_changed(write)
            await self.transact([write])  # it finds out whether the entry that is there has expired

    async def delete(self, write: Delete) -> None:
        name = self._prefix + write.key
        if write.is_conditional or not layout.is_plain(name):
            await self.transact([write])
        else:
            await self._client.delete(name)

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        """Read up to 64 keys in one request."""
        names = [self._prefix + get.key for get in gets]
        groups = [
            self._values(group, strong)
            for strong in {get.strong for get in gets}
            for group in _in_groups([name for name, get in zip(names, gets, strict=True) if get.strong is strong])
        ]
        found = {name: value for values in await asyncio.gather(*groups) for name, value in values.items()}
        return [found.get(name) for name in names]

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        """Carry out the writes concurrently, but those to one key in their order."""
        errors: list[StoreError | None] = [None] * len(writes)
        places = defaultdict(list)
        for place, write in enumerate(writes):
            places[write.key].append(place)
        room = asyncio.Semaphore(MAX_CONNECTIONS)

        async def write_key(places: Sequence[int]) -> None:
            async with room:
                for place in places:
                    [errors[place]] = await super(ConsulStore, self).bulk_write([writes[place]])

        await asyncio.gather(*map(write_key, places.values()))
        return errors

    async def transact(self, writes: Sequence[Write]) -> None:
        """Check everything before anything is written, in one transaction of Consul's."""
        conditional = [write for write in writes if write.is_conditional]
        last = {write.key: write for write in writes}
        self._check_limits(conditional, last)
        expired: dict[str, int] = {}
        for _ in range(ATTEMPTS if writes else 0):
            checks = [layout.check(each, self._prefix + each.key, expired.get(each.key)) for each in conditional]
            writing = [layout.write_operation(each, self._prefix + each.key) for each in last.values()]
            failed = (await self._client.transact([*checks, *writing])).errors
            if not failed:
                return
            if failed[0].place >= len(checks) or "ermission denied" in failed[0].what:
                raise self._refusal(failed[0])
            await self._note_expired(conditional[failed[0].place], expired)
        if writes:
            raise StoreUnavailableError("keys are written and deleted too often to find them absent; try again")

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        """List a page. Consul can only return all names at once, so each page reads them all."""
        start = self._prefix + prefix
        names = await self._client.names(start if layout.is_plain(start) else self._prefix)
        if cursor is None:
            first = bisect_left(names, start)
        else:
            first = bisect_right(names, self._prefix + key_before(cursor, prefix))
        page: list[str] = []
        for group in _in_groups([name for name in names[first:] if name.startswith(start)]):
            found = await self._read(group)
            for name in group:
                if self._value(found.get(name)) is None:
                    continue
                if len(page) == limit:
                    return KeyPage(page, cursor_after(page[-1]))
                page.append(name[len(self._prefix) :])
        return KeyPage(page, None)

    def feed(self, prefix: str, since: str | None = None) -> Feed:
        from . import feed  # only who watches keys needs it

        start = self._prefix + prefix
        listed = start if layout.is_plain(start) else self._prefix
        names = feed.Names(listed, start, len(self._prefix), f"{self._prefix}{_PROBE}")
        return feed.follow(self._client, names, since)

    # --- inside -------------------------------------------------------------------------------------------------------

    @property
    def _client(self) -> Client:
        if self._opened is None:
            raise StoreUnavailableError("the Consul store is not open")
        return self._opened[0]

    @property
    def _sweeper(self) -> ExpirySweeper[str, int]:
        assert self._opened is not None
        return self._opened[1]

    def _value(self, entry: Entry | None) -> StoredValue | None:
        if entry is None:
            return None
        if entry.has_expired:
            self._sweeper.remove(entry.key, entry.modify_index)
            return None
        return entry.stored

    async def _values(self, names: Sequence[str], strong: bool) -> Mapping[str, StoredValue | StoreError | None]:
        try:
            found = await self._read(names, strong)
        except StoreError as error:
            return dict.fromkeys(names, error)
        return {name: self._value(entry) for name, entry in found.items()}

    async def _read(self, names: Sequence[str], strong: bool = False) -> Mapping[str, Entry]:
        """Read up to 64 entries; those that are absent are left out."""
        wanted = list(dict.fromkeys(names))
        while wanted:
            reads = [layout.read(name) for name in wanted]
            done = await self._client.transact(reads, only_reads=True, strong=strong)
            if not done.errors:
                return {entry.key: entry for entry in done.entries}
            if not all(error.what.endswith("doesn't exist") for error in done.errors):
                raise self._refusal(done.errors[0])
            absent = {error.place for error in done.errors}
            wanted = [name for place, name in enumerate(wanted) if place not in absent]
        return {}

    async def _note_expired(self, failed: Write, expired: dict[str, int]) -> None:
        """Note an expired entry of a key that must be absent. Raises ETagMismatchError if it has not expired."""
        if not failed.if_absent:
            raise absent_or_changed(failed)
        name = self._prefix + failed.key
        entry = (await self._read([name], strong=True)).get(name)
        if entry is None:
            expired.pop(failed.key, None)
        elif entry.has_expired:
            expired[failed.key] = entry.modify_index
        else:
            raise absent_or_changed(failed)

    def _check_size(self, write: Write) -> None:
        limit = self._limits.value
        if isinstance(write, Set) and limit and len(write.value) > limit:
            raise StoreRefusedError(
                f"the value of key {write.key} is too large for Consul: {len(write.value)} bytes, and it takes {limit};"
                " store less under one key, or raise kv_max_value_size in Consul"
            )

    def _check_limits(self, conditional: Sequence[Write], last: Mapping[str, Write]) -> None:
        """Raise NotSupportedError or StoreRefusedError for a transaction that is larger than Consul takes."""
        operations = len(conditional) + len(last)
        if operations > layout.MAX_OPERATIONS:
            raise NotSupportedError(
                f"the transaction takes {operations} operations of Consul, which allows {layout.MAX_OPERATIONS}: "
                "one for each key and one for each ETag; make it smaller"
            )
        for write in last.values():
            self._check_size(write)
        size = sum(len(write.value) for write in last.values() if isinstance(write, Set)) * 4 // 3  # in base64
        limit = max(self._limits.value, self._limits.transaction)
        if limit and size > limit:
            raise StoreRefusedError(
                f"the transaction is too large for Consul: {size} bytes in base64, and it takes {limit}; "
                "make it smaller, or raise kv_max_value_size in Consul"
            )

    def _refusal(self, error: OperationError) -> StoreRefusedError:
        return StoreRefusedError(f"Consul refused{errors.refusal_reason(error.what)}{self._client.permission_advice}")

    async def _prove_permissions(self) -> None:
        """Raise StoreRefusedError if the token may not write: a key that does not exist is deleted."""
        await self.transact([Delete(_PROBE)])

    async def _remove(self, name: str, modify_index: int) -> None:
        await self._client.transact([layout.removal(name, modify_index)])

    async def _sweep_all(self) -> None:
        for group in _in_groups(await self._client.names(self._prefix)):
            for entry in (await self._read(group)).values():
                self._value(entry)


def _in_groups(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), layout.MAX_OPERATIONS):
        yield names[start : start + layout.MAX_OPERATIONS]
