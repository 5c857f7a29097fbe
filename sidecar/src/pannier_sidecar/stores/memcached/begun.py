"""Reads and writes that were begun and not awaited; the connection calls them with what memcached answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from pannier_sidecar.state.requests import Write
from pannier_sidecar.state.store import Completion, StoredValue, raised

from . import layout
from .client import Host
from .connection import Connection

if TYPE_CHECKING:
    from pannier_sidecar.network.pipeline import ConnectionLostError

    from .protocol import Reply


class Read(Struct, gc=False):
    """A read that was sent, called with its answer."""

    host: Host
    connection: Connection
    payload: bytes
    completion: Completion[StoredValue | None]

    def set_result(self, reply: Reply) -> None:
        try:
            value = layout.stored_value(reply, self.connection)
        except Exception as error:  # even a defect must be answered
            self.completion.resume(raised(error))
        else:
            self.completion.complete(value)

    def set_exception(self, lost: ConnectionLostError) -> None:
        self.completion.resume(self._again(lost))

    async def _again(self, lost: ConnectionLostError) -> StoredValue | None:
        return layout.stored_value(*await self.host.resend(self.payload, lost, None))


class Written(Struct, gc=False):
    """A write that was sent, called with its answer."""

    host: Host
    connection: Connection
    write: Write
    payload: bytes
    completion: Completion[None]

    def set_result(self, reply: Reply) -> None:
        error = layout.error_of(reply, self.write, self.connection)
        if error is None:
            self.completion.complete(None)
        else:
            self.completion.resume(raised(error))

    def set_exception(self, lost: ConnectionLostError) -> None:
        self.completion.resume(self._again(lost))

    async def _again(self, lost: ConnectionLostError) -> None:
        reply, connection = await self.host.resend(self.payload, lost, self.write)
        error = layout.error_of(reply, self.write, connection)
        if error is not None:
            raise error
