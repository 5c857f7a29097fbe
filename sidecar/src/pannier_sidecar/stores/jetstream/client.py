"""Keeps a connection while the store is open, and makes requests on it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from pannier_sidecar.state.errors import StoreError, StoreUnavailableError, unanswered

from . import errors
from .connection import Connection
from .errors import LostError, NotSentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nats.aio.msg import Msg

    from .settings import JetStreamSettings

_NO_RESPONDERS: Final = "503"


class Client:
    """Asks the server that answered last, and the next one if that cannot be reached. Its calls raise StoreError."""

    def __init__(self, settings: JetStreamSettings):
        self._settings = settings
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self._next = 0
        """The server to try next."""
        self._is_closed = False

    @property
    def max_payload(self) -> int:
        """The largest message that the server takes, in bytes, headers included."""
        return self._connection.max_payload if self._connection is not None else 0

    async def close(self) -> None:
        """End the connection; calls in flight fail."""
        self._is_closed = True
        if self._connection is not None:
            await self._connection.close()

    async def request(
        self, subject: str, payload: bytes = b"", fields: Mapping[str, str] | None = None, *, is_write: bool = False
    ) -> bytes:
        """Return the answer. A call whose connection is lost is sent again once, but a write only if it was not sent:
        the ids by which JetStream recognises a repetition are lost in a restart if the key was written meanwhile.
        """
        deadline = asyncio.get_running_loop().time() + self._settings.timeout
        may_repeat = True
        while True:
            connection = await self._connected(deadline)
            try:
                return self._answer(await connection.ask(subject, payload, fields, deadline))
            except NotSentError as error:
                if not may_repeat or not connection.is_over:
                    raise StoreUnavailableError(f"{self._settings.where} takes no more calls now") from error
            except TimeoutError as error:
                late = f"{self._settings.where} did not answer within {self._settings.timeout:g} s"
                raise unanswered(late, may_have_changed=is_write) from error
            except LostError as error:
                if is_write or not may_repeat or self._is_closed:
                    lost = f"the connection to {self._settings.where} was lost"
                    raise unanswered(lost, may_have_changed=is_write) from error
            may_repeat = False

    async def connection(self) -> Connection:
        """Return the connection on which requests are sent now."""
        return await self._connected(asyncio.get_running_loop().time() + self._settings.timeout)

    def _answer(self, message: Msg) -> bytes:
        if (message.headers or {}).get("Status") == _NO_RESPONDERS:
            where, bucket = self._settings.where, self._settings.bucket
            raise StoreUnavailableError(
                f"on {where} nobody serves bucket {bucket} now; look at nats kv info {bucket}, and at JetStream"
            )
        return message.data

    async def _connected(self, deadline: float) -> Connection:
        """Return a connection, made again if there is none."""
        try:
            async with asyncio.timeout_at(deadline), self._connecting:
                if self._is_closed:
                    raise StoreUnavailableError(f"the store over {self._settings.where} is closed")
                if self._connection is not None and not self._connection.is_over:
                    return self._connection
                if self._connection is not None:
                    await self._connection.close()
                return await self._connect()
        except TimeoutError as error:
            raise errors.translate(error, self._settings) from error

    async def _connect(self) -> Connection:
        servers = self._settings.servers
        last: StoreError | None = None
        for _ in servers:
            connection = Connection(servers[self._next], self._settings)
            try:
                async with asyncio.timeout(self._settings.timeout / len(servers)):
                    await connection.open(self._settings.timeout)
            except Exception as error:  # of nats-py, of the system, of TLS, or of what a server sent
                await connection.close()
                self._next = (self._next + 1) % len(servers)
                last = error if isinstance(error, StoreError) else errors.translate(error, self._settings)
                last.__cause__ = None if last is error else error
            except BaseException:
                await connection.close()
                raise
            else:
                self._connection = connection
                return connection
        assert last is not None
        raise last
