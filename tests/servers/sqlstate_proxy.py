"""A proxy to PostgreSQL that answers chosen statements with an error, as CockroachDB does where it cannot be had.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from dataclasses import dataclass, field

from servers.proxy import OwnThread

_SSL_REQUEST = 80877103


@dataclass
class Fault:
    """The error that statements which begin with a word are answered with."""

    word: bytes
    code: str
    times: int
    """How many statements are left to be answered with it."""
    happens: bool
    """Whether the server carries the statement out all the same."""
    seen: int = 0
    """How many such statements were sent, answered with the error or not."""


@dataclass
class _Session:
    """A client's connection."""

    statements: dict[bytes, bytes] = field(default_factory=dict)
    """Texts of prepared statements, by name."""
    is_in_transaction: bool = False
    swallows: bytes | None = None
    """What is sent to the client once the server's answer to the replaced statement has ended; None: no such."""
    skips_to_sync: bool = False


class SqlStateProxy(OwnThread):
    """Forwards connections, and replaces answers."""

    fault: Fault | None = None

    def answer(self, word: bytes, code: str, times: int = 1, *, happens: bool = False) -> Fault:
        """Answer the next statements that begin with a word with an error; return what counts them."""
        self.fault = Fault(word, code, times, happens)
        return self.fault

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        session = _Session()
        try:
            if await _begin(reader, to_server):  # asks for TLS; PostgreSQL here has none
                writer.write(await from_server.readexactly(1))
                await _begin(reader, to_server)
            there = asyncio.create_task(self._requests(reader, to_server, session))
            back = asyncio.create_task(_answers(from_server, writer, session))
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
            there.cancel()
            back.cancel()
        finally:
            to_server.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, to_server: asyncio.StreamWriter, session: _Session) -> None:
        with suppress(OSError, EOFError):
            while True:
                kind, body = await _message(reader)
                if kind == b"P":
                    name, prepared, _ = body.split(b"\0", 2)
                    session.statements[name] = prepared
                text = _text(kind, body, session)
                if session.skips_to_sync:
                    session.skips_to_sync = kind != b"S"
                    continue
                fault = self.fault
                if text is not None and fault is not None and text.startswith(fault.word):
                    fault.seen += 1
                    if fault.times > 0:
                        fault.times -= 1
                        self._replace(kind, body, fault, to_server, session)
                        continue
                to_server.write(_packed(kind, body))

    def _replace(
        self, kind: bytes, body: bytes, fault: Fault, to_server: asyncio.StreamWriter, session: _Session
    ) -> None:
        stays = session.is_in_transaction and fault.word != b"COMMIT"
        fields = f"SERROR\0VERROR\0C{fault.code}\0Mrestart transaction\0\0".encode()
        session.swallows = _packed(b"E", fields) + _packed(b"Z", b"E" if stays else b"I")
        if fault.happens:
            to_server.write(_packed(kind, body))
            return
        session.skips_to_sync = kind != b"Q"
        to_server.write(_packed(b"Q", b"SELECT 1\0" if stays or not session.is_in_transaction else b"ROLLBACK\0"))


async def _begin(reader: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> bool:
    """Pass on the first message of a connection; return whether it only asks for TLS."""
    head = await reader.readexactly(8)
    length, code = struct.unpack("!II", head)
    to_server.write(head + await reader.readexactly(length - 8))
    return bool(code == _SSL_REQUEST)


async def _answers(from_server: asyncio.StreamReader, writer: asyncio.StreamWriter, session: _Session) -> None:
    with suppress(OSError, EOFError):
        while True:
            kind, body = await _message(from_server)
            if kind == b"Z":
                session.is_in_transaction = body != b"I"
            if session.swallows is None:
                writer.write(_packed(kind, body))
            elif kind == b"Z":
                writer.write(session.swallows)
                session.swallows = None


def _text(kind: bytes, body: bytes, session: _Session) -> bytes | None:
    """Return the statement that a message runs; None if it runs none."""
    if kind == b"Q":
        return body
    if kind == b"B":
        return session.statements.get(body.split(b"\0", 2)[1])
    return None


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind, length = struct.unpack("!cI", await reader.readexactly(5))
    return kind, await reader.readexactly(length - 4)


def _packed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body
