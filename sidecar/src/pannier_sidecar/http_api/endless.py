"""The body of an answer without an end: sent part by part, as the client takes them, until one side ends it.

Imported with the first such answer.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pannier_sidecar.network.keepalive import keep_alive

from .limits import BUFFERED

if TYPE_CHECKING:
    from collections.abc import Callable

    from .messages import Parts

_LAST_CHUNK: Final = b"0\r\n\r\n"


class EndlessBody:
    """The body of one answer on its transport."""

    __slots__ = ("_is_chunked", "_is_ended", "_parts", "_spare", "_task", "_transport")

    def __init__(self, parts: Parts, transport: asyncio.Transport, *, is_chunked: bool, spare: int):
        """Without `is_chunked` the body ends with the connection. `spare`: how many bytes the client may send in vain;
        they are read, because its end could not be seen otherwise.
        """
        self._parts = parts
        self._transport = transport
        self._is_chunked = is_chunked
        self._spare = spare
        self._is_ended = False
        self._task: asyncio.Task[object] | None = None
        sock = transport.get_extra_info("socket")
        if sock is not None:
            with suppress(OSError):  # the client has gone already
                keep_alive(sock)

    async def send(self, drained: Callable[[], asyncio.Event | None]) -> None:
        """Send the parts, and the end of the body after the last one, or when `end` was called.

        `drained` returns what is set when the client has taken what was written; None: it does not fall behind.
        """
        task = self._task = asyncio.current_task()
        together = 0
        try:
            while not self._is_ended and (part := await self._next(drained)):
                self._transport.write(b"%x\r\n%b\r\n" % (len(part), part) if self._is_chunked else part)
                together += len(part)
                if together > BUFFERED:
                    together = 0
                    await asyncio.sleep(0)  # other connections get their turn
        except asyncio.CancelledError:
            if not self._is_ended or task is None:
                raise
            task.uncancel()
        finally:
            self._task = None
            await self._parts.aclose()
        if self._is_chunked and not self._transport.is_closing():
            self._transport.write(_LAST_CHUNK)

    async def _next(self, drained: Callable[[], asyncio.Event | None]) -> bytes:
        """Return the next part once the client can take it; nothing after the last one."""
        while (waiting := drained()) is not None:
            await waiting.wait()
        return await anext(self._parts, b"")

    def end(self) -> None:
        """End the body here."""
        self._is_ended = True
        self.drop()

    def drop(self) -> None:
        """Ask for no more parts, because nobody reads them any more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def discard(self, size: int) -> None:
        """Take note of bytes that the client has sent in vain, and end the connection if they are too many."""
        self._spare -= size
        if self._spare < 0:
            self._transport.abort()
