"""A stream with one of etcd's watches, at one endpoint."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aetcd import rpc
from grpc.aio import EOF, AioRpcError, UsageError

from pannier_sidecar.network.background_reads import give_up
from pannier_sidecar.state.errors import StoreError, StoreUnavailableError

from . import errors
from .client import CompactedError

if TYPE_CHECKING:
    from .client import Client

_WITH_SYNCED_PROGRESS: Final = {4: 31, 5: 13}
"""For each minor version of etcd 3, the first patch whose answers to a request for progress can be relied on.

Older ones let the answer overtake events (https://github.com/etcd-io/etcd/issues/15220), or give none before the first
event (https://github.com/etcd-io/etcd/issues/17507).
"""


class Watch:
    """The events of names in a range, from a revision on. Every method raises a StoreError."""

    def __init__(self, client: Client):
        """Begin the stream. Call it after a call that has signed in."""
        self._client = client
        self._call, self._status = client.begin_watch()
        self._reading: asyncio.Task[Any] | None = None

    async def create(self, first: bytes, end: bytes, revision: int) -> None:
        """Watch names from `first` to before `end`. Raises CompactedError."""
        create = rpc.WatchCreateRequest(key=first, range_end=end, start_revision=revision, fragment=True)
        await self._send(rpc.WatchRequest(create_request=create))
        response = await self.receive(self._client.timeout)
        if response is None:
            raise self.silence()
        if not response.created:
            raise self.nonsense()

    async def version(self) -> str:
        """Return the version of the server at the other end of the stream; empty if it is not known."""
        try:
            return str((await self._status(rpc.StatusRequest(), timeout=self._client.timeout)).version)
        except AioRpcError:
            return ""  # a user may not ask for it

    async def request_progress(self) -> None:
        """Ask for a response without events, which says up to which revision all events were sent before it."""
        await self._send(rpc.WatchRequest(progress_request=rpc.WatchProgressRequest()))

    async def receive(self, seconds: float, meanwhile: asyncio.Task[Any] | None = None) -> Any:
        """Return the next response; None after that many seconds, or when the other task is done. Raises
        CompactedError.
        """
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        tasks = {self._reading} if meanwhile is None else {self._reading, meanwhile}
        await asyncio.wait(tasks, timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED)
        if not self._reading.done():
            return None
        reading, self._reading = self._reading, None
        response = reading.result()
        if response.canceled and response.compact_revision:
            raise CompactedError
        if response.canceled:
            raise errors.of_cancelled(response.cancel_reason, self._client.where)
        return response

    def silence(self) -> StoreError:
        """Return the error for a server that says nothing."""
        return StoreUnavailableError(f"{self._client.where} did not answer within {self._client.timeout:g} s")

    def nonsense(self) -> StoreError:
        """Return the error for what no etcd answers."""
        return StoreUnavailableError(f"{self._client.where} did not answer as etcd does; check endpoints")

    async def close(self) -> None:
        """End the stream, at the server too."""
        self._call.cancel()
        await give_up(self._reading)

    async def _send(self, request: Any) -> None:
        try:
            async with asyncio.timeout(self._client.timeout):
                await self._call.write(request)
        except TimeoutError as error:
            raise self.silence() from error
        except (AioRpcError, UsageError, asyncio.InvalidStateError) as error:
            raise self._ended() from error

    async def _read(self) -> Any:
        try:
            response = await self._call.read()
        except AioRpcError as error:
            raise self._client.error_for(error) from error
        except (UsageError, asyncio.InvalidStateError) as error:
            raise self._ended() from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if self._client.is_closed and task is not None and not task.cancelling():
                raise self._client.closed_error() from error  # the channel has cancelled the call
            raise
        if response is EOF:
            raise self._ended()
        return response

    def _ended(self) -> StoreError:
        if self._client.is_closed:
            return self._client.closed_error()
        return StoreUnavailableError(f"{self._client.where} ended the watch of its keys")


def answers_behind_events(version: str) -> bool:
    """Return whether a server of this version answers a request for progress only after all events before it."""
    numbers = version.split("-", 1)[0].split(".")
    if len(numbers) != 3 or not all(number.isascii() and number.isdigit() and len(number) < 6 for number in numbers):
        return False
    major, minor, patch = map(int, numbers)
    if major == 3 and minor in _WITH_SYNCED_PROGRESS:
        return patch >= _WITH_SYNCED_PROGRESS[minor]
    return (major, minor) > (3, 5)
