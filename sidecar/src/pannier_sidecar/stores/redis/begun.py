"""Reads and writes that were begun and not awaited; the connection calls them with what Redis answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from hiredis import ReplyError
from msgspec import Struct

from pannier_sidecar.state.requests import Get, Write
from pannier_sidecar.state.store import Completion, StoredValue, raised

from . import layout

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pannier_sidecar.network.pipeline import ConnectionLostError


class Rest(Protocol):
    """How the store handles unusual answers."""

    def read_otherwise(self, name: str, key: bytes, error: Any) -> Coroutine[Any, Any, StoredValue | None]:
        """Read a key after an error."""

    def read_again(self, read: Read, lost: ConnectionLostError) -> Coroutine[Any, Any, StoredValue | None]:
        """Finish a read whose connection was lost."""

    def write_again(
        self, write: Write, key: bytes, payload: bytes, trouble: ConnectionLostError | ReplyError
    ) -> Coroutine[Any, Any, None]:
        """Finish a write that is not acknowledged."""


class Read(Struct, gc=False):
    """A read that was sent, called with its answer."""

    store: Rest
    get: Get
    key: bytes
    completion: Completion[StoredValue | None]

    def set_result(self, reply: Any) -> None:
        fields, ttl = reply
        if type(fields) is not list:
            self.completion.resume(self.store.read_otherwise(self.get.key, self.key, fields))
            return
        try:
            value = layout.stored_value(fields, ttl, self.get.key)
        except Exception as error:  # even a defect must be answered
            self.completion.resume(raised(error))
        else:
            self.completion.complete(value)

    def set_exception(self, lost: ConnectionLostError) -> None:
        self.completion.resume(self.store.read_again(self, lost))


class Written(Struct, gc=False):
    """A write that was sent, called with its answer."""

    store: Rest
    write: Write
    key: bytes
    payload: bytes
    completion: Completion[None]

    def set_result(self, reply: Any) -> None:
        if type(reply) is int:
            self.completion.complete(None)
        elif type(reply) is ReplyError:
            self.completion.resume(self.store.write_again(self.write, self.key, self.payload, reply))
        else:
            self.completion.resume(raised(layout.refusal(reply, [self.write])))

    def set_exception(self, lost: ConnectionLostError) -> None:
        self.completion.resume(self.store.write_again(self.write, self.key, self.payload, lost))
