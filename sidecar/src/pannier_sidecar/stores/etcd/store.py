"""The store: which requests each call makes to etcd, and what the answers mean."""

from __future__ import annotations

import asyncio
from math import ceil
from time import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from aetcd import rpc

from pannier_sidecar.network.answers import read_in_parts
from pannier_sidecar.state.cursors import cursor_after, key_before
from pannier_sidecar.state.errors import KeyRefusedError, StoreError, StoreUnavailableError
from pannier_sidecar.state.feeds import ChangesBy
from pannier_sidecar.state.joining import with_distinct_keys
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.store import LAST_TIME, Feature, KeyPage, Setting, Store, StoredValue, or_error

from .client import DELETE, PUT, RANGE, TXN, Client, LeaseGoneError
from .layout import RawValues, TimedValues, Values
from .leases import Leases, expiry_of, read_expiry
from .settings import read_settings
from .writing import check, conditions_of, was_last_written

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from contextlib import AsyncExitStack

    from pannier_sidecar.state.feeds import Feed

    Present = Mapping[bytes, StoredValue | None]

AT_ONCE: Final = 64
"""Maximum number of writes of one bulk call that are in flight together."""
ATTEMPTS: Final = 100
"""Attempts at a conditional write while others write the same keys."""
REQUEST_BYTES: Final = 1 << 20
"""Bytes of keys in one request; etcd takes requests of 1.5 MiB."""


class _EtcdStore(Store):
    """State in etcd. Reads are linearizable, whatever consistency is asked for."""

    features = frozenset(Feature)
    changes_by = ChangesBy.PUSH
    feed_lag_s = 3.0
    keeps_expiry = True
    values: ClassVar[Values]

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings (canonical names, durations in seconds); connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._max_operations = self.max_transaction = self._settings.max_operations
        self._prefix = self._settings.prefix.encode()
        self._opened: tuple[Client, Leases] | None = None

    async def _open(self, resources: AsyncExitStack) -> None:
        client = Client(self._settings)
        resources.push_async_callback(client.close)
        self._opened = client, Leases(client)
        await client.sign_in()
        await self.ping()

    async def ping(self) -> None:
        await self._client.call(RANGE, rpc.RangeRequest(key=self._prefix, count_only=True))

    @property
    def _client(self) -> Client:
        if self._opened is None:
            raise StoreUnavailableError("the store is not open")
        return self._opened[0]

    @property
    def _leases(self) -> Leases:
        if self._opened is None:
            raise StoreUnavailableError("the store is not open")
        return self._opened[1]

    # --- reading --------------------------------------------------------------------------------------------------

    async def get(self, get: Get) -> StoredValue | None:
        answer = await self._client.call(RANGE, rpc.RangeRequest(key=self._name(get.key)))
        return await self._stored_value(answer.kvs[0]) if answer.kvs else None

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        """Read the keys of a chunk in one request."""
        try:
            names = [self._name(get.key) for get in gets]
        except StoreError:
            return await super().bulk_get(gets)
        found: dict[bytes, StoredValue | StoreError | None] = {}
        for parts in await asyncio.gather(*(self._read_chunk(chunk) for chunk in self._chunks(names))):
            for part in parts:
                found |= part
        return [found[name] for name in names]

    async def _read_chunk(self, names: Sequence[bytes]) -> list[dict[bytes, StoredValue | StoreError | None]]:
        try:
            return await read_in_parts(self._read, names)
        except StoreError as error:
            return [dict.fromkeys(names, error)]

    async def _read(self, names: Sequence[bytes]) -> dict[bytes, StoredValue | StoreError | None]:
        answer = await self._client.call(TXN, rpc.TxnRequest(success=_ranges(names)))
        if len(answer.responses) != len(names):
            raise StoreUnavailableError("the server that answers is not etcd; check endpoints")
        found: dict[bytes, StoredValue | StoreError | None] = {}
        for name, each in zip(names, answer.responses, strict=True):
            try:
                found[name] = await self._found(each)
            except StoreError as error:
                found[name] = error
        return found

    def _chunks(self, names: Sequence[bytes]) -> Iterator[list[bytes]]:
        chunk: list[bytes] = []
        size = 0
        for name in dict.fromkeys(names):
            if len(chunk) == self._max_operations or size + len(name) > REQUEST_BYTES:
                yield chunk
                chunk, size = [], 0
            chunk.append(name)
            size += len(name)
        if chunk:
            yield chunk

    async def _found(self, response: Any) -> StoredValue | None:
        """Return the value that one read of a transaction has found."""
        kvs = response.response_range.kvs
        return await self._stored_value(kvs[0]) if kvs else None

    async def _stored_value(self, found: Any) -> StoredValue | None:
        """Return what a key holds; None if it has expired, although etcd has not removed it yet."""
        value, expires = self.values.decoded(self._key(found.key), found.value)
        if found.lease:  # listings see only the time in the lease's id, so it decides here too
            expires = expiry_of(found.lease) or expires or await read_expiry(self._client, found.lease)
        if expires is None:
            return StoredValue(value, str(found.mod_revision))
        if expires <= time():
            return None
        return StoredValue(value, str(found.mod_revision), round(min(expires, LAST_TIME)))

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        start = self._name(prefix)
        first = start if cursor is None else self._name(key_before(cursor, prefix)) + b"\0"
        # UTF-8 has no byte 0xff, so the last byte can be incremented.
        request = rpc.RangeRequest(key=first, range_end=start[:-1] + bytes((start[-1] + 1,)), keys_only=True)
        request.limit = limit + 1
        kvs = (await self._client.call(RANGE, request)).kvs
        now = time()
        keys = [self._key(each.key) for each in kvs[:limit] if now < (expiry_of(each.lease) or LAST_TIME)]
        return KeyPage(keys, cursor_after(self._key(kvs[limit - 1].key)) if len(kvs) > limit else None)

    def feed(self, prefix: str, since: str | None = None) -> Feed:
        from . import feed  # only who watches keys needs it

        return feed.follow(self._client, feed.Range(self._name(prefix), self._key), since)

    # --- writing --------------------------------------------------------------------------------------------------

    async def set(self, write: Set) -> None:
        await self._write(write)

    async def delete(self, write: Delete) -> None:
        await self._write(write)

    async def _write(self, write: Write) -> None:
        if write.is_conditional:
            await self.transact([write])
        elif isinstance(write, Set):
            await self._with_leases(self._put, write)
        else:
            await self._client.call(DELETE, rpc.DeleteRangeRequest(key=self._name(write.key)), is_write=True)

    async def _put(self, write: Set) -> None:
        await self._client.call(PUT, await self._put_request(write), is_write=True)

    async def _with_leases(self, call: Callable[[Any], Awaitable[None]], argument: Any) -> None:
        """Make a call, and repeat it once if etcd has lost the lease that it names."""
        for _ in range(2):
            try:
                return await call(argument)
            except LeaseGoneError:
                self._leases.forget()
        raise StoreUnavailableError("etcd lost the lease of the key twice")

    async def _put_request(self, write: Set) -> Any:
        now, ttl = time(), write.ttl
        if write.kept_expiry is not None:
            ttl = max(1, ceil(write.kept_expiry - now))
            now = write.kept_expiry - ttl
        lease = 0 if ttl is None else await self._leases.of(now + ttl)
        value = self.values.encoded(write.value, now, ttl)
        return rpc.PutRequest(key=self._name(write.key), value=value, lease=lease)

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        errors: list[StoreError | None] = []
        for run in with_distinct_keys(writes, AT_ONCE):
            errors += await asyncio.gather(*(or_error(self._write(writes[place])) for place in run))
        return errors

    async def transact(self, writes: Sequence[Write]) -> None:
        if writes:
            await self._with_leases(self._transact, writes)

    async def _transact(self, writes: Sequence[Write]) -> None:
        """Write if all preconditions hold, which etcd's comparisons show, or a read after which nothing has changed."""
        guarded = [(write, self._name(write.key)) for write in writes if write.is_conditional]
        names = list(dict.fromkeys(name for _, name in guarded))
        conditions = list(conditions_of(guarded))
        operations = [await self._operation(write) for write in {write.key: write for write in writes}.values()]
        if len(conditions) > self._max_operations:  # etcd counts them too
            conditions = [was_last_written(name, -1) for name in names]
        for _ in range(ATTEMPTS):
            request = rpc.TxnRequest(compare=conditions, success=operations, failure=_ranges(names))
            answer = await self._client.call(TXN, request, is_write=True)
            if answer.succeeded:
                return
            found = [each.response_range.kvs for each in answer.responses]
            present = {
                name: await self._stored_value(kvs[0]) if kvs else None for name, kvs in zip(names, found, strict=True)
            }
            check(guarded, present)
            revisions = {name: kvs[0].mod_revision if kvs else 0 for name, kvs in zip(names, found, strict=True)}
            conditions = [was_last_written(name, revision) for name, revision in revisions.items()]
        raise StoreUnavailableError(f"others wrote the keys {ATTEMPTS} times in between")

    async def _operation(self, write: Write) -> Any:
        if isinstance(write, Set):
            return rpc.RequestOp(request_put=await self._put_request(write))
        return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=self._name(write.key)))

    # --- keys -----------------------------------------------------------------------------------------------------

    def _name(self, key: str) -> bytes:
        try:
            return self._prefix + key.encode()
        except UnicodeEncodeError as error:
            raise KeyRefusedError(f"key {key[:80]!r} holds a surrogate, which is no character; take it out") from error

    def _key(self, name: bytes) -> str:
        return name[len(self._prefix) :].decode(errors="surrogateescape")


class RawStore(_EtcdStore):
    """Version 1."""

    values = RawValues()


class TimedStore(_EtcdStore):
    """Version 2."""

    values = TimedValues()


def _ranges(names: Sequence[bytes]) -> list[Any]:
    return [rpc.RequestOp(request_range=rpc.RangeRequest(key=name)) for name in names]
