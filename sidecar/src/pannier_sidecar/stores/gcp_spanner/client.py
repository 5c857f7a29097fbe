"""One call of Spanner's API: over one channel, with a deadline, and with errors in our words."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

import google.auth
import grpc.aio
from google.auth.exceptions import GoogleAuthError
from google.cloud.spanner_v1.services.spanner import SpannerAsyncClient
from google.cloud.spanner_v1.services.spanner.transports import SpannerGrpcAsyncIOTransport
from google.cloud.spanner_v1.types import (
    CommitRequest,
    CreateSessionRequest,
    DeleteSessionRequest,
    PartialResultSet,
    ReadRequest,
    RollbackRequest,
)
from google.oauth2 import service_account

from pannier_sidecar.network import answers
from pannier_sidecar.network.grpc_channels import channel_options
from pannier_sidecar.state.errors import StoreRefusedError, StoreUnavailableError, unanswered

from . import layout
from .errors import translate

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pannier_crds.secret import Secret

    from .layout import Row
    from .settings import SpannerSettings

Result = TypeVar("Result")

_VALUE_BYTES: Final = 64
"""Bytes that each value takes in memory in addition to its text."""
_SCOPES: Final = ("https://www.googleapis.com/auth/spanner.data",)
_MAX_PAUSE: Final = 2.0
"""Seconds between two attempts to connect."""


class Client:
    """The calls that the store makes. They raise StoreError, SessionLostError and AbortedError."""

    def __init__(self, settings: SpannerSettings):
        self._settings = settings
        self._channel: grpc.aio.Channel | None = None
        self._stubs: Any = None

    async def connect(self) -> None:
        """Find the credentials and make the channel. Raises StoreRefusedError."""
        settings = self._settings
        options = channel_options(settings.timeout, _MAX_PAUSE)
        if settings.emulator is not None:
            self._channel = grpc.aio.insecure_channel(settings.emulator, options=options)
        else:
            credentials = await asyncio.to_thread(_credentials, settings.credentials)
            self._channel = SpannerGrpcAsyncIOTransport.create_channel(
                settings.endpoint, credentials=credentials, options=options
            )
        self._stubs = SpannerAsyncClient(transport=SpannerGrpcAsyncIOTransport(channel=self._channel)).transport

    async def close(self) -> None:
        """Close the channel; calls in flight fail with StoreUnavailableError, or OutcomeUnknownError for writes."""
        channel, self._channel, self._stubs = self._channel, None, None
        if channel is not None:
            await channel.close()

    @property
    def is_open(self) -> bool:
        return self._channel is not None

    async def create_session(self, deadline: float) -> str:
        request = CreateSessionRequest(database=self._settings.database)
        made = await self._call("create_session", request, f"database={self._settings.database}", deadline)
        return str(made.name)

    async def delete_session(self, session: str, deadline: float) -> None:
        await self._call("delete_session", DeleteSessionRequest(name=session), f"name={session}", deadline)

    async def read(self, request: Any, width: int, deadline: float) -> tuple[list[Row], bytes]:
        """Return the rows, of `width` columns each, and the id of the transaction that was begun; empty if none was."""
        session = ReadRequest.pb(request).session

        async def collect() -> tuple[list[Row], bytes]:
            values: Row = []
            transaction = b""
            is_divided = False
            left = answers.limit()
            async for part in self._stub("streaming_read")(request, **self._options(f"session={session}", deadline)):
                message = PartialResultSet.pb(part)
                transaction = transaction or message.metadata.transaction.id
                left -= message.ByteSize() + _VALUE_BYTES * len(message.values)
                if left < 0:
                    raise answers.too_large(self._settings.where)
                texts = layout.texts_of(message.values)
                if is_divided and texts:  # the first text continues the last value
                    texts[0] = f"{values.pop() or ''}{texts[0] or ''}"
                values += texts
                is_divided = message.chunked_value
            return [values[at : at + width] for at in range(0, len(values), width)], transaction

        return await self._answered(collect(), is_write=False)

    async def commit(self, request: Any, deadline: float) -> None:
        session = CommitRequest.pb(request).session
        await self._call("commit", request, f"session={session}", deadline, is_write=True)

    async def rollback(self, session: str, transaction: bytes, deadline: float) -> None:
        request = RollbackRequest(session=session, transaction_id=transaction)
        await self._call("rollback", request, f"session={session}", deadline)

    async def _call(self, name: str, request: Any, route: str, deadline: float, *, is_write: bool = False) -> Any:
        call = self._stub(name)(request, **self._options(route, deadline))
        return await self._answered(call, is_write=is_write)

    async def _answered(self, call: Awaitable[Result], *, is_write: bool) -> Result:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise translate(error, self._settings, is_write=is_write) from error
        except grpc.aio.UsageError as error:
            raise StoreUnavailableError("Spanner: the connection is closed") from error
        except asyncio.InvalidStateError as error:
            raise unanswered("Spanner: the connection is closed", may_have_changed=is_write) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if self.is_open or (task is not None and task.cancelling()):
                raise
            # The channel was closed, and gRPC cancels what its callers wait for.
            closed = "Spanner: the store was closed while the call was in flight"
            raise unanswered(closed, may_have_changed=is_write) from error

    def _stub(self, name: str) -> Any:
        if self._stubs is None:
            raise StoreUnavailableError("Spanner: the store is not open")
        return getattr(self._stubs, name)

    def _options(self, route: str, deadline: float) -> dict[str, Any]:
        """Return the timeout of a call, and its routing and resource headers as Google's own client sends them."""
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        metadata = (("x-goog-request-params", route), ("google-cloud-resource-prefix", self._settings.database))
        return {"timeout": left, "metadata": metadata}


def _credentials(key: Secret | None) -> Any:
    """Return the credentials of a service account, or the application default ones. May call the metadata server."""
    try:
        if key is None:
            return google.auth.default(scopes=_SCOPES)[0]
        return service_account.Credentials.from_service_account_info(json.loads(key.reveal()), scopes=_SCOPES)
    except GoogleAuthError as error:
        raise StoreRefusedError(
            "there are no credentials for Spanner; set credentialsJSON, or run where application default "
            "credentials are (GOOGLE_APPLICATION_CREDENTIALS, a service account of the machine)"
        ) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreRefusedError(
            "credentialsJSON is no key of a service account; write the JSON text of the key's file"
        ) from error
