"""The connection to a component: one at a time, on which the component was given its settings before any call.

gRPC would connect again by itself, to a process that has not been initialized. So each connection has a channel of its
own, which is given up when its connection is lost, and the next call makes another one.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import grpc
from grpc.aio import AioRpcError, UsageError

from pannier_sidecar.network.grpc_channels import channel_options
from pannier_sidecar.protobuf import MalformedMessageError, decode, encode
from pannier_sidecar.state.errors import (
    KeyRefusedError,
    NotSupportedError,
    OutcomeUnknownError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pannier_sidecar.state.store import Feature

from . import errors, layout
from .messages import (
    MAX_SIZE,
    STATE,
    TRANSACTIONS,
    FeaturesResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
)
from .sockets import sockets_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Struct

    from .settings import PluggableSettings

INSTANCE_FIELD: Final = "x-component-instance"
GET, SET, DELETE = f"/{STATE}/Get", f"/{STATE}/Set", f"/{STATE}/Delete"
BULK_GET, PING, TRANSACT = f"/{STATE}/BulkGet", f"/{STATE}/Ping", f"/{TRANSACTIONS}/Transact"
MULTI_MAX_SIZE = f"/{MAX_SIZE}/MultiMaxSize"
_INIT, _FEATURES = f"/{STATE}/Init", f"/{STATE}/Features"
_REFLECTIONS: Final = tuple(
    f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo" for version in ("v1", "v1alpha")
)
_FEATURES_OF_DAPR: Final = {each.value: each for each in (Feature.ETAG, Feature.TRANSACTIONAL, Feature.TTL)}
"""Dapr has no call by which a component could list its keys."""
_OPTIONS: Final = (
    ("grpc.client_idle_timeout_ms", 2**31 - 1),  # an idle connection would be given up, and the component begin again
    ("grpc.enable_retries", 0),
)
_MAX_PATH_BYTES: Final = 107


_Answer = TypeVar("_Answer", bound="Struct")


class Abilities(NamedTuple):
    """What a component has said of itself."""

    features: frozenset[Feature] = frozenset()
    may_limit_transactions: bool = False
    """Whether it can be asked how many operations a transaction may have."""


class Client:
    """Calls a component, and connects to it when that is needed."""

    def __init__(self, settings: PluggableSettings, on_connected: Callable[[Abilities], None]):
        """Connect to nothing yet. `on_connected` is called with each connection's abilities before the first call."""
        self._settings = settings
        self._on_connected = on_connected
        self._metadata = ((INSTANCE_FIELD, settings.instance),)
        self._channel: grpc.aio.Channel | None = None
        self._connecting: asyncio.Task[grpc.aio.Channel] | None = None
        self._connection = 0
        self._closing: dict[asyncio.Task[None], grpc.aio.Channel] = {}
        """Earlier channels, which close when their last calls have ended."""
        self._is_closed = False

    async def open(self) -> int:
        """Connect if need be, have the component begin, and return the connection's number. Raises StoreError."""
        await self._connected()
        return self._connection

    async def call(
        self, path: str, request: Struct | None = None, *, is_write: bool = False, on: int | None = None
    ) -> bytes:
        """Return the bytes of the answer. Raises StoreError. No call is made twice.

        `on` is the number of the connection on which the call must be made, because another process may promise less.
        """
        try:
            message = b"" if request is None else encode(request)
        except UnicodeEncodeError as error:
            raise KeyRefusedError("a key or its metadata holds a surrogate, which is no character") from error
        channel = await self._connected()
        if on is not None and on != self._connection:
            raise StoreUnavailableError(f"{self._settings.where} began again meanwhile, so the call was not sent")
        return await self._send(channel, path, message, is_write=is_write)

    async def close(self) -> None:
        """End the connection; calls in flight fail."""
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self._channel is not None:
            await self._channel.close()
        for task, channel in list(self._closing.items()):
            task.cancel()
            await channel.close()
            await asyncio.wait([task])

    async def _connected(self) -> grpc.aio.Channel:
        """Return a channel that is connected. Calls that need a new connection wait for the same one."""
        if self._is_closed:
            raise self._closed()
        channel = self._channel
        if channel is not None:
            if channel.get_state() is grpc.ChannelConnectivity.READY:
                return channel
            self._give_up(channel)
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect(), name=f"connect {self._settings.type}")
            self._connecting.add_done_callback(self._on_connected_or_not)
        task = self._connecting
        await asyncio.wait([task])
        if task.cancelled():
            raise self._closed()
        return task.result()

    def _on_connected_or_not(self, task: asyncio.Task[grpc.aio.Channel]) -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._channel = task.result()
            self._connection += 1

    def _give_up(self, channel: grpc.aio.Channel) -> None:
        """Use the channel for no further call; those that it still serves may end."""
        self._channel = None
        grace = self._settings.timeout + 1  # by then, each of its calls has timed out
        task = asyncio.create_task(_close_later(channel, grace), name="close a channel")
        self._closing[task] = channel
        task.add_done_callback(self._closing.pop)

    async def _connect(self) -> grpc.aio.Channel:
        """Connect to the component, learn what it serves, and have it begin. Raises StoreError."""
        settings = self._settings
        options = (*channel_options(settings.timeout, settings.timeout), *_OPTIONS)
        socket = self._socket()
        channel = grpc.aio.insecure_channel(f"unix:{socket}", options=options)
        is_open = False
        try:
            async with asyncio.timeout(settings.timeout):
                await self._wait_ready(channel, socket)
                services = await self._services(channel)
                if STATE not in services:
                    raise StoreRefusedError(f"{settings.where} serves no {STATE}, so it is no state store")
                await self._send(channel, _INIT, encode(layout.init_request(settings)))
                abilities = await self._abilities(channel, services)
            self._on_connected(abilities)
            is_open = True
            return channel
        except TimeoutError as error:
            raise StoreUnavailableError(errors.late(settings)) from error
        finally:
            if not is_open:
                await channel.close()

    def _socket(self) -> str:
        """Return the path of the component's socket. Raises StoreError."""
        settings = self._settings
        found = sockets_of(settings.folder, settings.type)
        if not found:
            raise StoreUnavailableError(
                f"{settings.where} has no socket in {settings.folder} yet; start it, or correct the type"
            )
        if len(found) > 1:
            names = ", ".join(path.rpartition("/")[2] for path in found[:3])
            raise StoreRefusedError(f"{settings.where} has several sockets ({names}); remove all but one")
        path = os.path.abspath(found[0])
        if len(path.encode(errors="surrogateescape")) > _MAX_PATH_BYTES:
            raise StoreRefusedError(f"the path {path} is too long for a socket; use a folder with a shorter name")
        return path

    async def _wait_ready(self, channel: grpc.aio.Channel, socket: str) -> None:
        """Wait until the channel is connected; fail with its first attempt."""
        while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            if state in (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN):
                why = "takes no connection on its socket"
                if not os.access(socket, os.W_OK):  # two containers of a pod often have different users
                    why = "does not let this user connect; give its socket the mode 0777"
                raise StoreUnavailableError(f"{self._settings.where} {why}")
            await channel.wait_for_state_change(state)

    async def _services(self, channel: grpc.aio.Channel) -> set[str]:
        """Return the names of the services that the component's process serves, by either version of reflection.

        Its call has streams both ways, of which one message each is needed.
        """
        question = encode(ServerReflectionRequest("*"))
        for path in _REFLECTIONS:
            with suppress(NotSupportedError):
                answer = self._decoded(ServerReflectionResponse, await self._send(channel, path, question))
                listed = answer.list_services_response
                return {each.name for each in listed.service} if listed is not None else set()
        raise StoreRefusedError(f"{self._settings.where} has no server reflection; register it in the component")

    async def _abilities(self, channel: grpc.aio.Channel, services: set[str]) -> Abilities:
        """Return what the component promises; transactions only if it serves them too."""
        features = self._decoded(FeaturesResponse, await self._send(channel, _FEATURES, b"")).features
        found = {_FEATURES_OF_DAPR[name] for name in features if name in _FEATURES_OF_DAPR}
        if TRANSACTIONS not in services:
            found.discard(Feature.TRANSACTIONAL)
        return Abilities(frozenset(found), Feature.TRANSACTIONAL in found and MAX_SIZE in services)

    def _decoded(self, kind: type[_Answer], data: bytes) -> _Answer:
        try:
            return decode(kind, data)
        except MalformedMessageError as error:
            raise errors.malformed(self._settings, kind.__name__) from error

    async def _send(self, channel: grpc.aio.Channel, path: str, message: bytes, *, is_write: bool = False) -> bytes:
        try:
            answer: bytes = await channel.unary_unary(path)(
                message, timeout=self._settings.timeout, metadata=self._metadata
            )
            return answer
        except AioRpcError as error:
            raise errors.translate(error, self._settings, is_write=is_write) from error
        except UsageError as error:
            raise self._closed() from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if self._is_closed and task is not None and not task.cancelling():
                # The channel has cancelled the call; its caller was not cancelled.
                raise OutcomeUnknownError(str(self._closed())) if is_write else self._closed() from error
            raise

    def _closed(self) -> StoreUnavailableError:
        return StoreUnavailableError(f"the store over {self._settings.where} is closed")


async def _close_later(channel: grpc.aio.Channel, seconds: float) -> None:
    await channel.close(grace=seconds)
