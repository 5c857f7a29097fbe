"""`state.memcached`: what each call of a store sends to memcached, and what the answers mean."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from pannier_sidecar.network.pipeline import ConnectionLostError
from pannier_sidecar.state.errors import PartlyUnavailableError, StoreError, StoreUnavailableError
from pannier_sidecar.state.store import Completion, Feature, Setting, Store, StoredValue, or_error

from . import layout
from .begun import Read, Written
from .client import Host
from .connecting import Connector
from .settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AsyncExitStack

    from pannier_sidecar.state.requests import Delete, Get, Set, Write

    from .connection import Connection
    from .protocol import Reply


class MemcachedStore(Store):
    """State in memcached, each value a plain item as Dapr writes it."""

    features = frozenset({Feature.ETAG, Feature.TTL})
    max_key_bytes = layout.MAX_KEY_BYTES

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the component's settings (canonical names, durations in seconds); connect to nothing yet."""
        super().__init__(settings)
        self._settings = read_settings(settings)
        self._hosts: Sequence[Host] = ()

    async def _open(self, resources: AsyncExitStack) -> None:
        settings = self._settings
        connector = Connector(settings)
        self._hosts = [Host(address, connector, settings.timeout) for address in settings.addresses]
        for host in self._hosts:
            resources.push_async_callback(host.close)
        errors = await self._errors_of(Host.connected)
        serious = [error for error in errors if not isinstance(error, StoreUnavailableError)]
        if serious or len(errors) == len(self._hosts):
            raise (serious or errors)[0]

    async def ping(self) -> None:
        if not self._hosts:
            raise StoreUnavailableError("the memcached store is not open")
        errors = await self._errors_of(Host.answers)
        if errors and len(errors) < len(self._hosts):
            serving = f"{len(self._hosts) - len(errors)} of {len(self._hosts)} memcached servers answer"
            raise PartlyUnavailableError(f"{serving}, the keys of the others cannot be reached: {errors[0]}")
        if errors:
            raise errors[0]

    async def _errors_of(self, ask: Callable[[Host], Awaitable[object]]) -> list[BaseException]:
        results = await asyncio.gather(*map(ask, self._hosts), return_exceptions=True)
        return [result for result in results if isinstance(result, BaseException)]

    async def get(self, get: Get) -> StoredValue | None:
        return layout.stored_value(*await self._answer(await self._send(get.key)))

    def begin_get(self, get: Get, completion: Completion[StoredValue | None]) -> None:
        try:
            host = self._host(get.key)
            connection = host.connection
            if connection is not None:
                payload = layout.read(layout.sent_key(get.key))
                connection.send_for(Read(host, connection, payload, completion), payload)
                return
        except StoreError:  # `get` raises it too
            pass
        completion.resume(self.get(get))

    def begin_write(self, write: Write, completion: Completion[None]) -> None:
        try:
            host = self._host(write.key)
            connection = host.connection
            if connection is not None:
                payload = layout.write(write, layout.sent_key(write.key), connection)
                connection.send_for(Written(host, connection, write, payload, completion), payload)
                return
        except StoreError:
            pass
        completion.resume(self._carry_out(write))

    async def set(self, write: Set) -> None:
        await self._carry_out(write)

    async def delete(self, write: Delete) -> None:
        await self._carry_out(write)

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        """Read all keys of a server in one round trip."""
        sent = [await or_error(self._send(get.key)) for get in gets]
        try:
            return [each if isinstance(each, StoreError) else await or_error(self._value(each)) for each in sent]
        finally:
            _drop_answers(sent)

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        """Send all writes in one round trip; each server carries out its own in order."""
        sent = [await or_error(self._send(write.key, write)) for write in writes]
        try:
            return [
                each if isinstance(each, StoreError) else await self._outcome(each, write)
                for each, write in zip(sent, writes, strict=True)
            ]
        finally:
            _drop_answers(sent)

    async def _carry_out(self, write: Write) -> None:
        reply, connection = await self._answer(await self._send(write.key, write), write)
        error = layout.error_of(reply, write, connection)
        if error is not None:
            raise error

    async def _outcome(self, sent: _Sent, write: Write) -> StoreError | None:
        try:
            reply, connection = await self._answer(sent, write)
        except StoreError as error:
            return error
        return layout.error_of(reply, write, connection)

    async def _value(self, sent: _Sent) -> StoredValue | None:
        return layout.stored_value(*await self._answer(sent))

    async def _send(self, key: str, write: Write | None = None) -> _Sent:
        """Send a write, or a read of the key. Raises a StoreError if nothing can be sent."""
        host = self._host(key)
        connection = host.connection or await host.connected()
        name = layout.sent_key(key)
        payload = layout.read(name) if write is None else layout.write(write, name, connection)
        return _Sent(host, connection, payload, connection.send(payload))

    async def _answer(self, sent: _Sent, write: Write | None = None) -> tuple[Reply, Connection]:
        """Return the answer and the connection that it came on. Raises a StoreError."""
        try:
            return await sent.answer, sent.connection
        except ConnectionLostError as lost:
            return await sent.host.resend(sent.payload, lost, write)

    def _host(self, key: str) -> Host:
        """Return the server that has a key: the one that Dapr's client would choose."""
        hosts = self._hosts
        if len(hosts) == 1:
            return hosts[0]
        if not hosts:
            raise StoreUnavailableError("the memcached store is not open")
        return hosts[crc32(key.encode()) % len(hosts)]


class _Sent(NamedTuple):
    """A call in flight."""

    host: Host
    connection: Connection
    payload: bytes
    answer: asyncio.Future[Reply]


def _drop_answers(sent: Sequence[_Sent | StoreError]) -> None:
    """Drop the answers that no caller waits for any more."""
    for each in sent:
        if not isinstance(each, StoreError):
            each.answer.cancel()  # this has no effect on answers that have come
