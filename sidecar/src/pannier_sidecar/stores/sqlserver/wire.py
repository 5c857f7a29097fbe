"""The bytes of one connection: messages in packets, TLS inside of them or around them, and bounds on what is received.

Up to version 7.4 of the protocol the bytes of the TLS handshake are content of messages, and what is encrypted
afterwards are the packets ([MS-TDS] 3.2.5.1). asyncio has no TLS of this form.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from pannier_sidecar.network import answers

from .tds import packets
from .tds.errors import BrokenProtocolError

if TYPE_CHECKING:
    import ssl

_AT_ONCE: Final = 64 * 1024


class Wire(asyncio.Protocol):
    """What is at the other end of a socket. One request at a time: its answer is awaited by `message`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.packet_size = packets.SIZE
        """Bytes of the packets that the server takes."""
        self.received = 0
        """Bytes since this was last set to 0."""
        self.has_received_too_much = False
        self.socket: Any = None
        """The socket, for its options."""
        self._loop = loop
        self._limit = answers.limit()
        self._assembler = packets.Assembler()
        self._transport: asyncio.Transport | None = None
        self._tls: ssl.SSLObject | None = None
        self._encrypted: ssl.MemoryBIO | None = None
        """What was received, and is to be decrypted."""
        self._to_encrypt: ssl.MemoryBIO | None = None
        self._messages: list[packets.Message] = []
        self._waiting: asyncio.Future[None] | None = None
        """Who awaits a message."""
        self._may_send: asyncio.Future[None] | None = None
        """Done when the server has read enough of what was sent; None: it has."""
        self._failure: Exception | None = None
        """Why nothing more comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of classes of its own
        self.socket = transport.get_extra_info("socket")
        if self._failure is not None:  # it was given up before it was made
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc if isinstance(exc, OSError) else ConnectionResetError())

    def eof_received(self) -> None:
        self._fail(ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.received > self._limit:
            self.has_received_too_much = True
            self._fail(BrokenProtocolError())
            return
        try:
            self._feed(data)
        except Exception as error:  # of any kind, for bytes that are no TLS or no packets
            self._fail(error)

    def pause_writing(self) -> None:
        if self._may_send is None:
            self._may_send = self._loop.create_future()

    def resume_writing(self) -> None:
        may_send, self._may_send = self._may_send, None
        if may_send is not None and not may_send.done():
            may_send.set_result(None)

    async def send(self, kind: int, content: bytes) -> None:
        """Send a message. Raises OSError when the connection is lost."""
        self._write(packets.cut(kind, content, self.packet_size))
        if self._may_send is not None:
            await asyncio.shield(self._may_send)

    async def message(self) -> packets.Message:
        """Return the next message. Raises OSError when the connection is lost, and BrokenProtocolError."""
        while not self._messages:
            if self._failure is not None:
                raise self._failure
            self._waiting = self._loop.create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        return self._messages.pop(0)

    async def encrypt(self, context: ssl.SSLContext, name: str) -> None:
        """Agree on TLS, in messages. Raises OSError, also for a certificate that is not trusted."""
        import ssl  # imported here, because connections without TLS do not need it

        self._encrypted, self._to_encrypt = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self._encrypted, self._to_encrypt, server_hostname=name)
        while True:
            is_agreed = True
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                is_agreed = False
            if sent := self._to_encrypt.read():
                await self.send(packets.PRELOGIN, sent)
            if is_agreed:
                break
            self._encrypted.write((await self.message()).content)
        self._encrypted.write(self._assembler.rest())
        self._tls = tls

    def is_closed(self) -> bool:
        """Return whether nothing more comes, or something has come that nobody asked for."""
        is_open = self._transport is not None and not self._transport.is_closing() and self._failure is None
        return not is_open or bool(self._messages) or not self._assembler.is_empty

    def abort(self) -> None:
        self._fail(ConnectionAbortedError())

    def _write(self, data: bytes) -> None:
        if self._failure is not None:
            raise self._failure
        assert self._transport is not None
        if self._tls is None:
            self._transport.write(data)
            return
        assert self._to_encrypt is not None
        for start in range(0, len(data), _AT_ONCE):
            self._tls.write(data[start : start + _AT_ONCE])
            self._transport.write(self._to_encrypt.read())

    def _feed(self, data: bytes) -> None:
        if self._tls is None:
            self._assembler.feed(data)
        else:
            self._decrypt(data)
        while (message := self._assembler.take()) is not None:
            self._messages.append(message)
        if self._messages and self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _decrypt(self, data: bytes) -> None:
        import ssl

        assert self._tls is not None
        assert self._encrypted is not None
        self._encrypted.write(data)
        while True:
            try:
                read = self._tls.read(_AT_ONCE)
            except ssl.SSLWantReadError:
                return
            if not read:
                raise ConnectionResetError
            self._assembler.feed(read)

    def _fail(self, error: Exception) -> None:
        if self._failure is None:
            self._failure = error
        if self._transport is not None:
            self._transport.abort()
        for waiting in (self._waiting, self._may_send):
            if waiting is not None and not waiting.done():
                waiting.set_exception(self._failure)
        self._may_send = None
