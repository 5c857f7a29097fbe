"""`state.redis`: what each call of a store sends to Redis, and what the answers mean."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from hiredis import ReplyError

from pannier_sidecar.network.pipeline import ConnectionLostError
from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.state.feeds import ChangesBy, ETagPage, KeyETag
from pannier_sidecar.state.requests import Get
from pannier_sidecar.state.store import Completion, Feature, KeyPage, Store, StoredValue, raised

from . import layout
from .begun import Read, Written
from .client import NotOpenServers, Primary, Request, Servers, Trouble
from .connecting import Connector
from .listing import list_keys
from .settings import read_settings
from .slots import hash_tag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AsyncExitStack

    from pannier_sidecar.state.feeds import Feed
    from pannier_sidecar.state.requests import Delete, Set, Write
    from pannier_sidecar.state.store import Setting

    from .settings import RedisSettings


class RedisStore(Store):
    """State in Redis, laid out as Dapr lays it out."""

    features = frozenset({Feature.ETAG, Feature.TRANSACTIONAL, Feature.TTL, Feature.KEYS_LIKE})
    keeps_expiry = True
    changes_by = ChangesBy.PUSH
    max_transaction = 200_000  # five arguments each, and the protocol allows a command 1,048,576

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings (canonical names, durations in seconds); connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._servers: Servers = NotOpenServers(self._settings)
        self._connector: Connector | None = None
        if not self._settings.pushes_changes:
            self.changes_by = ChangesBy.POLL

    def together(self, key: str) -> str:
        return hash_tag(key) if self._settings.is_cluster else ""

    async def _open(self, resources: AsyncExitStack) -> None:
        logins = None
        if self._settings.profile is not None or self._settings.provider is not None:
            from .logins import logins_of  # few components sign in with tokens

            logins = await logins_of(self._settings, resources)
        self._connector = Connector(self._settings, logins)
        servers = _find_servers(self._settings, self._connector)
        servers.logins = logins
        resources.push_async_callback(servers.close)
        await servers.open()
        self._servers = servers

    async def ping(self) -> None:
        await self._servers.ping()

    async def get(self, get: Get) -> StoredValue | None:
        key = get.key.encode()
        replies = await self._servers.call(key, layout.read(key), layout.READ_REPLIES, True)
        return await self._value(get.key, key, replies)

    def begin_get(self, get: Get, completion: Completion[StoredValue | None]) -> None:
        key = get.key.encode()
        connection = self._servers.connection(key)
        if connection is None:
            completion.resume(self.get(get))
        else:
            read = Read(self, get, key, completion)
            connection.send_for(read, layout.read(key), layout.READ_REPLIES, is_read=True)

    async def read_again(self, read: Read, lost: ConnectionLostError) -> StoredValue | None:
        """Finish a read whose connection was lost."""
        request = Request(read.key, layout.read(read.key), layout.READ_REPLIES, may_repeat=True)
        return await self._value(read.get.key, read.key, await self._servers.call_with_retries(request, lost))

    async def _value(self, name: str, key: bytes, replies: Any) -> StoredValue | None:
        fields, ttl = replies
        if type(fields) is list:
            return layout.stored_value(fields, ttl, name)
        return await self.read_otherwise(name, key, fields)

    def begin_write(self, write: Write, completion: Completion[None]) -> None:
        key = write.key.encode()
        connection = self._servers.connection(key)
        if connection is None or write.strong:
            completion.resume(self._write(write))
            return
        try:
            payload = layout.write(write, key)
        except StoreError as error:
            completion.resume(raised(error))
        else:
            connection.send_for(Written(self, write, key, payload, completion), payload)

    async def write_again(self, write: Write, key: bytes, payload: bytes, trouble: Trouble) -> None:
        """Finish a write that is not acknowledged. Without `trouble` it has not been sent yet."""
        reply = await self._servers.call_with_retries(_request(write, key, payload), trouble)
        if type(reply) is not int:
            raise layout.refusal(reply, [write])

    async def set(self, write: Set) -> None:
        await self._write(write)

    async def delete(self, write: Delete) -> None:
        await self._write(write)

    async def _write(self, write: Write) -> None:
        key = write.key.encode()
        if self._servers.connection(key) is None:  # before copying the value: many calls may wait
            await self._servers.ready(key)
        payload = layout.write(write, key)
        if write.strong:
            await self.write_again(write, key, payload, None)
            return
        reply = await self._servers.call(key, payload, 1, False)
        if type(reply) is ReplyError:
            await self.write_again(write, key, payload, reply)
        elif type(reply) is not int:
            raise layout.refusal(reply, [write])

    async def read_otherwise(
        self, name: str, key: bytes, error: ReplyError, deadline: float | None = None
    ) -> StoredValue | None:
        """Read a key after an error: again or, if it is not a hash, as a string or a document."""
        if not isinstance(error, ReplyError):
            raise layout.not_redis()
        if not layout.is_wrong_type(error):
            request = Request(key, layout.read(key), layout.READ_REPLIES, may_repeat=True)
            fields, ttl = await self._servers.call_with_retries(request, error, deadline)
            if not layout.is_wrong_type(fields):
                return layout.stored_value(fields, ttl, name)
        kind, content, ttl = await self._servers.call(key, layout.read_foreign(key), layout.FOREIGN_REPLIES, True)
        if kind == layout.JSON_TYPE:
            content = await self._servers.call(key, layout.read_document(key), 1, True)
        return layout.foreign_stored_value(kind, content, ttl, name)

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        """Read all keys of a server in one round trip."""
        entries: list[StoredValue | StoreError | None] = [None] * len(gets)
        keys = [get.key.encode() for get in gets]
        groups = self._servers.grouped(keys) if keys else ()
        if len(groups) == 1:
            await self._get_group(gets, keys, groups[0], entries)
        else:
            await asyncio.gather(*(self._get_group(gets, keys, places, entries) for places in groups))
        return entries

    async def _get_group(
        self,
        gets: Sequence[Get],
        keys: Sequence[bytes],
        places: Sequence[int],
        entries: list[StoredValue | StoreError | None],
    ) -> None:
        """Fill in the entries at `places`, whose keys lie on one server."""
        payload = b"".join([layout.read(keys[place]) for place in places])
        deadline = self._deadline()
        try:
            replies = await self._servers.call(keys[places[0]], payload, layout.READ_REPLIES * len(places), True)
        except StoreError as error:
            for place in places:
                entries[place] = error
            return
        for place, fields, ttl in zip(places, replies[::2], replies[1::2], strict=True):
            try:
                if type(fields) is list:
                    entries[place] = layout.stored_value(fields, ttl, gets[place].key)
                else:
                    entries[place] = await self.read_otherwise(gets[place].key, keys[place], fields, deadline)
            except StoreError as error:
                entries[place] = error

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        """Send all writes in one round trip; each server carries out its own in order."""
        if any(write.strong for write in writes) or len({write.key for write in writes}) < len(writes):
            return await super().bulk_write(writes)  # a repeated write must not overtake one to the same key
        deadline = self._deadline()
        sent = [self._sent(write) for write in writes]
        try:
            return [await self._outcome(write, each, deadline) for write, each in zip(writes, sent, strict=True)]
        finally:
            for each in sent:
                if not isinstance(each, StoreError) and each.answer is not None:
                    each.answer.cancel()  # this has no effect on answers that have come

    def _sent(self, write: Write) -> _Sent | StoreError:
        """Send a write if there is a connection."""
        key = write.key.encode()
        try:
            payload = layout.write(write, key)
        except StoreError as error:
            return error
        connection = self._servers.connection(key)
        return _Sent(_request(write, key, payload), connection.send(payload, 1) if connection else None)

    async def _outcome(self, write: Write, sent: _Sent | StoreError, deadline: float) -> StoreError | None:
        """Return the error of a write; None if it is done."""
        if isinstance(sent, StoreError):
            return sent
        trouble: Trouble = None
        reply = None
        try:
            if sent.answer is not None:
                try:
                    reply = trouble = await sent.answer
                except ConnectionLostError as lost:
                    trouble = lost
            if reply is None or type(reply) is ReplyError:
                reply = await self._servers.call_with_retries(sent.request, trouble, deadline)
        except StoreError as error:
            return error
        return None if type(reply) is int else layout.refusal(reply, [write])

    async def transact(self, writes: Sequence[Write]) -> None:
        """Carry out all writes in one script. Raises NotSupportedError if a Cluster has their keys in several slots."""
        if not writes:
            return
        keys = [write.key.encode() for write in writes]
        self._servers.check_together(keys)
        request = Request(keys[0], layout.transaction(writes, keys), is_strong=any(write.strong for write in writes))
        if request.is_strong:
            reply = await self._servers.call_with_retries(request, None)
        else:
            reply = await self._servers.call(request.key, request.payload, 1, False)
        if type(reply) is ReplyError:
            reply = await self._servers.call_with_retries(request, reply)
        if type(reply) is not int:
            raise layout.refusal(reply, writes)

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        return await list_keys(self._servers, self._settings, prefix, limit, cursor)

    async def etags(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        page = await self.keys(prefix, limit, cursor)
        keys = [key.encode() for key in page.keys]
        groups = self._servers.grouped(keys) if keys else ()
        found: list[str | None] = [None] * len(keys)
        await asyncio.gather(*(self._read_etags(page.keys, keys, places, found) for places in groups))
        entries = [KeyETag(key, etag) for key, etag in zip(page.keys, found, strict=True) if etag is not None]
        return ETagPage(entries, page.cursor)

    async def _read_etags(
        self, names: Sequence[str], keys: Sequence[bytes], places: Sequence[int], found: list[str | None]
    ) -> None:
        """Fill in the ETags at `places`, whose keys lie on one server; None for a key without state."""
        payload = b"".join([layout.read_etag(keys[place]) for place in places])
        replies = await self._servers.call(keys[places[0]], payload, len(places), True)
        for place, reply in zip(places, replies if len(places) > 1 else [replies], strict=True):
            if isinstance(reply, ReplyError):  # the key is no hash, or is elsewhere by now
                stored = await self.get(Get(names[place]))
                found[place] = None if stored is None else stored.etag
            elif reply is not None:
                found[place] = layout.etag(reply)

    def feed(self, prefix: str, since: str | None = None) -> Feed:
        from .feed import feed  # most stores are never watched

        return feed(self._servers, self._connector, prefix, since, self.feed_lag_s / 2)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._settings.dial_timeout


class _Sent(NamedTuple):
    """A write in flight."""

    request: Request
    answer: asyncio.Future[Any] | None
    """None: there was no connection to send it on."""


def _request(write: Write, key: bytes, payload: bytes) -> Request:
    return Request(key, payload, is_strong=write.strong)


def _find_servers(settings: RedisSettings, connector: Connector) -> Servers:
    """Return the servers of a component, not connected yet."""
    if settings.is_cluster:
        from .cluster import Cluster  # few components need it or Sentinels, and imports cost every start

        return Cluster(settings, connector)
    if settings.master_name is not None:
        from .sentinel import WatchedPrimary

        return WatchedPrimary(settings, connector)
    address = settings.addresses[0]
    return Primary(settings, partial(connector.primary, address, settings.database, settings.dial_timeout))
