"""The few calls of etcd that the store makes, to one endpoint at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc
from aetcd import rpc
from grpc.aio import AioRpcError, UsageError

from pannier_sidecar.network.grpc_channels import channel_options
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreUnavailableError

from . import errors

if TYPE_CHECKING:
    from .settings import EtcdSettings

_MAX_PAUSE: Final = 1.0
"""Seconds between two attempts to connect."""
_KEEPALIVE: Final = (("grpc.keepalive_time_ms", 30_000), ("grpc.keepalive_timeout_ms", 10_000))
_WITH_LEADER: Final = ("hasleader", "true")
"""Metadata of a stream that etcd ends when the endpoint loses its leader."""

Token = tuple[tuple[str, str], ...] | None
"""The token as the metadata of a call."""


class WatchCalls(NamedTuple):
    """What a watch needs of one endpoint."""

    stream: Any
    status: Any
    """Asks the same endpoint for its status."""


class Method(NamedTuple):
    """One of etcd's calls."""

    path: str
    request: Any
    response: Any


RANGE: Final = Method("/etcdserverpb.KV/Range", rpc.RangeRequest, rpc.RangeResponse)
PUT: Final = Method("/etcdserverpb.KV/Put", rpc.PutRequest, rpc.PutResponse)
DELETE: Final = Method("/etcdserverpb.KV/DeleteRange", rpc.DeleteRangeRequest, rpc.DeleteRangeResponse)
TXN: Final = Method("/etcdserverpb.KV/Txn", rpc.TxnRequest, rpc.TxnResponse)
GRANT: Final = Method("/etcdserverpb.Lease/LeaseGrant", rpc.LeaseGrantRequest, rpc.LeaseGrantResponse)
TIME_TO_LIVE: Final = Method(
    "/etcdserverpb.Lease/LeaseTimeToLive", rpc.LeaseTimeToLiveRequest, rpc.LeaseTimeToLiveResponse
)
STATUS: Final = Method("/etcdserverpb.Maintenance/Status", rpc.StatusRequest, rpc.StatusResponse)
AUTHENTICATE: Final = Method("/etcdserverpb.Auth/Authenticate", rpc.AuthenticateRequest, rpc.AuthenticateResponse)
WATCH: Final = Method("/etcdserverpb.Watch/Watch", rpc.WatchRequest, rpc.WatchResponse)
_METHODS: Final = (RANGE, PUT, DELETE, TXN, GRANT, TIME_TO_LIVE, STATUS, AUTHENTICATE)


class Client:
    """Calls the endpoint that answered last, and the next one if that fails."""

    def __init__(self, settings: EtcdSettings):
        """Make the channels, which connect when they are used. Call it in the event loop."""
        self.where = settings.where
        """The servers, for messages."""
        self.timeout = settings.timeout
        """Seconds that a call may take."""
        self._settings = settings
        self._channels = [_channel(endpoint, settings) for endpoint in settings.endpoints]
        self._stubs = [
            {
                method: channel.unary_unary(
                    method.path,
                    request_serializer=method.request.SerializeToString,
                    response_deserializer=method.response.FromString,
                )
                for method in _METHODS
            }
            for channel in self._channels
        ]
        self._current = 0
        self._token: Token = None
        self._signing_in = asyncio.Lock()
        self.is_closed = False

    async def call(self, method: Method, request: Any, *, is_write: bool = False) -> Any:
        """Return the answer. Raises StoreError, LeaseGoneError, CompactedError.

        If an endpoint fails, the others are tried; but a write is repeated only if it was not sent.
        """
        try:
            return await self._answer(method, request, may_repeat=not is_write)
        except AioRpcError as error:
            if errors.mentions(error, errors.LEASE_IS_GONE):
                raise LeaseGoneError from error
            if errors.mentions(error, errors.IS_COMPACTED):
                raise CompactedError from error
            raise self.error_for(error, is_write=is_write) from error

    async def sign_in(self) -> None:
        """Get a token for later calls, if the component names a user. Raises StoreError."""
        if self._settings.username:
            request = rpc.AuthenticateRequest(name=self._settings.username, password=self._settings.password.reveal())
            answer = await self.call(AUTHENTICATE, request)
            self._token = (("token", answer.token),)

    async def grant(self, lease: int, seconds: int) -> None:
        """Make sure that a lease with that id exists. Raises StoreError."""
        try:
            await self._answer(GRANT, rpc.LeaseGrantRequest(ID=lease, TTL=seconds), may_repeat=True)
        except AioRpcError as error:
            if not errors.mentions(error, errors.LEASE_IS_THERE):
                raise self.error_for(error) from error

    def begin_watch(self) -> WatchCalls:
        """Begin a stream of watches at the endpoint that answered last. It ends if that has no leader."""
        channel = self._channels[self._current]
        stream = channel.stream_stream(
            WATCH.path,
            request_serializer=WATCH.request.SerializeToString,
            response_deserializer=WATCH.response.FromString,
        )
        return WatchCalls(stream(metadata=(*(self._token or ()), _WITH_LEADER)), self._stubs[self._current][STATUS])

    def error_for(self, error: AioRpcError, *, is_write: bool = False) -> StoreError:
        """Return the error to raise for an error of gRPC."""
        return errors.translate(error, self.where, is_write=is_write, timeout=self.timeout)

    async def close(self) -> None:
        self.is_closed = True
        for channel in self._channels:
            await channel.close()

    async def _answer(self, method: Method, request: Any, *, may_repeat: bool) -> Any:
        attempts_left = len(self._stubs)
        limit = self._settings.timeout / len(self._stubs) if may_repeat else self._settings.timeout
        has_new_token = method is AUTHENTICATE
        while True:
            endpoint, token = self._current, None if method is AUTHENTICATE else self._token
            try:
                return await self._send(self._stubs[endpoint][method], request, limit, token, may_repeat)
            except AioRpcError as error:
                if errors.mentions(error, errors.TOKEN_IS_OLD) and not has_new_token:
                    has_new_token = True
                    await self._renew(token)
                    continue
                if errors.may_pass(error):
                    self._leave(endpoint)
                if not attempts_left or not self._is_worth_repeating(error, may_repeat):
                    raise
                attempts_left -= 1

    async def _renew(self, old: Token) -> None:
        """Sign in again, unless another call has done so already."""
        async with self._signing_in:
            if self._token == old:
                await self.sign_in()

    async def _send(self, stub: Any, request: Any, limit: float, token: Token, may_repeat: bool) -> Any:
        if self.is_closed:
            raise self.closed_error()
        try:
            return await stub(request, timeout=limit, metadata=token)
        except UsageError as error:
            raise self.closed_error() from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if self.is_closed and task is not None and not task.cancelling():
                # The channel has cancelled the call; its caller was not cancelled.
                raise self.closed_error() if may_repeat else OutcomeUnknownError(str(self.closed_error())) from error
            raise

    def _is_worth_repeating(self, error: AioRpcError, may_repeat: bool) -> bool:
        """Return whether to call again: an endpoint that does not answer is not tried again, but another may be."""
        if errors.is_late(error) and len(self._stubs) == 1:
            return False
        return errors.was_not_sent(error) or (may_repeat and errors.may_pass(error))

    def _leave(self, endpoint: int) -> None:
        """Go to the next endpoint, unless another call has done so already."""
        if endpoint == self._current:
            self._current = (endpoint + 1) % len(self._stubs)

    def closed_error(self) -> StoreUnavailableError:
        return StoreUnavailableError(f"the store over {self._settings.where} is closed")


class LeaseGoneError(Exception):
    """The lease that a write names does not exist."""


class CompactedError(Exception):
    """Revisions that a call needs are compacted."""


def _channel(endpoint: str, settings: EtcdSettings) -> grpc.aio.Channel:
    options = (*channel_options(settings.timeout, _MAX_PAUSE), *_KEEPALIVE)
    encryption = settings.encryption
    if encryption is None:
        return grpc.aio.insecure_channel(endpoint, options=options)
    credentials = grpc.ssl_channel_credentials(encryption.authority, encryption.key, encryption.certificate)
    return grpc.aio.secure_channel(endpoint, credentials, options=options)
