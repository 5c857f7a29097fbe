"""A fake of SQL Server: `python -m servers.tds_fake PORT FOLDER [OPTIONS]` speaks TDS 7.4 and 8.0.

OPTIONS is a JSON object: `tls` (on, off or required), `certificate` (a PEM file with its key), `routes_to` (a port),
and `packets` (their size). It serves other clients too: a test tries python-tds.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import struct
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from servers.tsql_on_sqlite import Refused, Result, Server, Session

USER, PASSWORD, TOKEN = "sa", "Passw0rd;of'tests\"", "token-of-tests"
LIMITED = "limited"
"""A user that may not make anything, with the same password."""
BATCH, RPC, ANSWER, ATTENTION, LOGIN, PRELOGIN = 0x01, 0x03, 0x04, 0x06, 0x10, 0x12
COLLATION = b"\x09\x04\xd0\x00\x34"
HANDSHAKE = 0x16
"""The first byte of TLS."""


class Ended(Exception):
    """The client has gone, or does not keep to the protocol."""


class Channel:
    """Packets of one client, in TLS or not."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._reader, self._writer = reader, writer
        self._plain = bytearray()
        self._tls: ssl.SSLObject | None = None
        self._from_client, self._to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.size = 4096

    async def receive(self) -> tuple[int, bytes]:
        """Return the kind and the content of the next message."""
        content = bytearray()
        while True:
            kind, status, length, *_ = struct.unpack(">BBHHBB", await self._read(8))
            content += await self._read(length - 8)
            if status & 1:
                return kind, bytes(content)

    async def send(self, content: bytes, kind: int = ANSWER) -> None:
        room = self.size - 8
        for start in range(0, len(content) or 1, room):
            part = content[start : start + room]
            is_last = start + room >= len(content)
            self._write(struct.pack(">BBHHBB", kind, is_last, len(part) + 8, 51, 1, 0) + part)
        await self._writer.drain()

    async def encrypt(self, context: ssl.SSLContext, *, in_messages: bool) -> None:
        """Agree on TLS: in messages, or before them with `self._plain` as the first bytes."""
        tls = context.wrap_bio(self._from_client, self._to_client, server_side=True)
        self._from_client.write(bytes(self._plain))
        self._plain.clear()
        while True:
            with suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                break
            await self._flush(in_messages=in_messages)
            self._from_client.write((await self.receive())[1] if in_messages else await self._received())
        await self._flush(in_messages=in_messages)
        self._tls = tls

    async def first_byte(self) -> int:
        self._plain += await self._received()
        return self._plain[0]

    async def _flush(self, *, in_messages: bool) -> None:
        if sent := self._to_client.read():
            if in_messages:
                await self.send(sent, PRELOGIN)
            else:
                self._writer.write(sent)

    def _write(self, data: bytes) -> None:
        if self._tls is not None:
            self._tls.write(data)
            data = self._to_client.read()
        self._writer.write(data)

    async def _read(self, size: int) -> bytes:
        while len(self._plain) < size:
            if self._tls is None:
                self._plain += await self._received()
                continue
            try:
                self._plain += self._tls.read(65536)
            except ssl.SSLWantReadError:
                self._from_client.write(await self._received())
        taken = bytes(self._plain[:size])
        del self._plain[:size]
        return taken

    async def _received(self) -> bytes:
        data = await self._reader.read(65536)
        if not data:
            raise Ended
        return data


class Client:
    """One connection."""

    def __init__(self, server: Server, channel: Channel, options: Mapping[str, Any]):
        self._server = server
        self._channel = channel
        self._options = options
        self._session: Session | None = None
        self._running: asyncio.Task[None] | None = None
        """The request that is being answered, or was the last."""

    async def serve(self) -> None:
        options = self._options
        tls = options.get("tls", "on")
        is_strict = await self._channel.first_byte() == HANDSHAKE
        if is_strict:
            await self._channel.encrypt(_context(options, "tds/8.0"), in_messages=False)
        kind, content = await self._channel.receive()
        if kind != PRELOGIN:
            raise Ended
        asked = _prelogin(content)
        wants = asked[1][0]
        says = {"off": 2, "required": 3}.get(tls, 2 if wants == 2 else 1)
        if is_strict:
            says = 2
        answer = {0: b"\x10\0\x03\xe8\0\0", 1: bytes([says]), 2: b"\0", 3: b"", 4: b"\0"}
        if 6 in asked:
            answer[6] = b"\x01"
        await self._channel.send(packed_options(answer))
        if says in (1, 3) and wants != 2:
            await self._channel.encrypt(_context(options), in_messages=True)
        kind, content = await self._channel.receive()
        if kind != LOGIN:
            raise Ended
        if await self._sign_in(_login(content)):
            await self._serve_requests()

    async def close(self) -> None:
        """Undo what the client has not committed: what it has asked for last may still wait for a lock."""
        await self._cancel()
        if self._session is not None:
            self._session.rollback()

    async def _cancel(self) -> None:
        running, self._running = self._running, None
        if running is not None and not running.done():
            running.cancel()
            await asyncio.wait([running])

    async def _sign_in(self, login: Mapping[str, str]) -> bool:
        is_known = login["user"] in (USER, LIMITED) and login["password"] == PASSWORD
        if not is_known and login["token"] != TOKEN:
            await self._channel.send(_error(18456, 14) + _done(2))
            return False
        if port := self._options.get("routes_to"):
            host = "localhost".encode("utf-16-le")
            value = struct.pack("<BHH", 0, port, len(host) // 2) + host
            change = struct.pack("<BH", 20, len(value)) + value + b"\0\0"
            await self._channel.send(_acknowledged() + b"\xe3" + struct.pack("<H", len(change)) + change + _done())
            return False
        database = login["database"] or "master"
        if not self._server.has("", "database", database):
            await self._channel.send(_error(4060, 11) + _error(18456, 14) + _done(2))
            return False
        self._session = Session(self._server, database, may_make=login["user"] != LIMITED)
        size = self._options.get("packets", 8000)
        changes = _text_change(1, database, "master") + _bytes_change(7, COLLATION) + _text_change(4, str(size), "4096")
        said = _text_message(0xAB, 5701, 0)
        extension = b"\xae\x02\0\0\0\0\xff" if login["token"] else b""
        await self._channel.send(changes + said + _acknowledged() + extension + _done())
        self._channel.size = size
        return True

    async def _serve_requests(self) -> None:
        """Answer each request; another message, which asks to cancel it, may come meanwhile."""
        while True:
            kind, content = await self._channel.receive()
            if kind == ATTENTION:
                await self._cancel()
                assert self._session is not None
                self._session.rollback()
                await self._channel.send(_done(0x20))
                continue
            if self._running is not None:
                await self._running
            self._running = asyncio.create_task(self._answer(kind, content))

    async def _answer(self, kind: int, content: bytes) -> None:
        session = self._session
        assert session is not None
        (length,) = struct.unpack_from("<I", content)
        assert struct.unpack_from("<Q", content, 10)[0] == session.transaction
        request = content[length:]
        before = session.transaction
        text, parameters = _statement(request) if kind == RPC else (request.decode("utf-16-le"), {})
        token = 0xFF if kind == BATCH else 0xFE
        answer = b""
        try:
            for result in await session.run(text, parameters):
                answer += _result(result, in_procedure=kind == RPC)
            end = _done(0, token if kind == RPC else 0xFD)
        except Refused as error:
            answer += _error(error.number, 16) + (_text_message(0xAA, 3621, 16) if kind == RPC else b"")
            end = _done(2, token if kind == RPC else 0xFD)
        if before != session.transaction:
            kinds = {True: 8, False: 9}
            answer = (
                _bytes_change(kinds[bool(session.transaction)], _number(session.transaction), _number(before)) + answer
            )
        await self._channel.send(answer + (b"\x79\0\0\0\0" if kind == RPC else b"") + end)


def _number(transaction: int) -> bytes:
    return struct.pack("<Q", transaction) if transaction else b""


def _context(options: Mapping[str, Any], protocol: str = "") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options["certificate"])
    if protocol:
        context.set_alpn_protocols([protocol])
    else:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def _prelogin(content: bytes) -> dict[int, bytes]:
    found = {}
    at = 0
    while content[at] != 0xFF:
        option, start, length = struct.unpack_from(">BHH", content, at)
        found[option] = content[start : start + length]
        at += 5
    return found


def packed_options(options: Mapping[int, bytes]) -> bytes:
    at = 5 * len(options) + 1
    entries = b""
    for option, content in options.items():
        entries += struct.pack(">BHH", option, at, len(content))
        at += len(content)
    return entries + b"\xff" + b"".join(options.values())


def _login(content: bytes) -> dict[str, str]:
    """Return who signs in ([MS-TDS] 2.2.6.4)."""
    (length, version) = struct.unpack_from("<II", content)
    assert length == len(content)
    assert version == 0x74000004
    names = ("host", "user", "password", "app", "server", "extension", "library", "language", "database")
    found = {"token": ""}
    for place, name in enumerate(names):
        start, size = struct.unpack_from("<HH", content, 36 + 4 * place)
        if name == "extension":
            if size:
                (at,) = struct.unpack_from("<I", content, start)
                found["token"] = _token(content[at:])
            continue
        raw = content[start : start + 2 * size]
        if name == "password":
            raw = bytes(((byte ^ 0xA5) << 4 | (byte ^ 0xA5) >> 4) & 0xFF for byte in raw)
        found[name] = raw.decode("utf-16-le")
    return found


def _token(extension: bytes) -> str:
    while extension[0] != 0xFF:
        feature, length = struct.unpack_from("<BI", extension)
        if feature == 2:
            options, size = struct.unpack_from("<BI", extension, 5)
            assert options == 0x03  # a security token, and the echo of what PRELOGIN has said
            return extension[10 : 10 + size].decode("utf-16-le")
        extension = extension[5 + length :]
    return ""


def _statement(request: bytes) -> tuple[str, dict[str, Any]]:
    """Return the statement of a call of sp_executesql, and its parameters by name."""
    length, number = struct.unpack_from("<HH", request)
    at = 6
    if length != 0xFFFF:
        assert request[2 : 2 + 2 * length].decode("utf-16-le") == "sp_executesql"
        at = 2 + 2 * length + 2
    else:
        assert number == 10
    values: list[tuple[str, Any]] = []
    while at < len(request):
        name, at = request[at + 1 : at + 1 + 2 * request[at]].decode("utf-16-le"), at + 1 + 2 * request[at]
        value, at = _value(request, at + 1)
        values.append((name, value))
    text, *rest = values
    return text[1], dict(rest[1:])


def _value(request: bytes, at: int) -> tuple[Any, int]:
    """Return the value of a parameter, and where the next one begins."""
    kind = request[at]
    if kind in (0x26, 0x68):
        size, length = request[at + 1 : at + 3]
        assert length in (0, size)
        number = request[at + 3 : at + 3 + length]
        return (int.from_bytes(number, "little", signed=kind == 0x26) if length else None), at + 3 + length
    assert kind in (0xE7, 0xA5), hex(kind)
    (most,) = struct.unpack_from("<H", request, at + 1)
    at += 3 + (5 if kind == 0xE7 else 0)
    if most == 0xFFFF:
        raw, at = _parts(request, at)
    else:
        (length,) = struct.unpack_from("<H", request, at)
        assert length == 0xFFFF or length <= most
        raw = None if length == 0xFFFF else request[at + 2 : at + 2 + length]
        at += 2 + len(raw or b"")
    return (raw.decode("utf-16-le", "surrogatepass") if raw is not None and kind == 0xE7 else raw), at


def _parts(request: bytes, at: int) -> tuple[bytes | None, int]:
    (total,) = struct.unpack_from("<Q", request, at)
    at += 8
    if total == 0xFFFFFFFFFFFFFFFF:
        return None, at
    found = b""
    while True:
        (length,) = struct.unpack_from("<I", request, at)
        at += 4
        if not length:
            assert total in (len(found), 0xFFFFFFFFFFFFFFFE)
            return found, at
        found += request[at : at + length]
        at += length


def _result(result: Result, *, in_procedure: bool) -> bytes:
    """Return the tokens of a result: the types of columns, rows, and their number."""
    names, rows = result
    kinds = [_kind(names[place], [row[place] for row in rows]) for place in range(len(names))]
    columns = b"".join(
        struct.pack("<IH", 0, 9) + kind + bytes([len(name)]) + name.encode("utf-16-le")
        for name, kind in zip(names, kinds, strict=True)
    )
    answer = [b"\x81" + struct.pack("<H", len(names)) + columns]
    for row in rows:
        if any(value is None for value in row):
            nulls = sum((value is None) << place for place, value in enumerate(row))
            head = b"\xd2" + nulls.to_bytes((len(row) + 7) // 8, "little")
            answer.append(
                head + b"".join(_packed_value(*each) for each in zip(row, kinds, strict=True) if each[0] is not None)
            )
        else:
            answer.append(b"\xd1" + b"".join(_packed_value(*each) for each in zip(row, kinds, strict=True)))
    return b"".join(answer) + struct.pack("<BHHQ", 0xFF if in_procedure else 0xFD, 0x11, 0xC1, len(rows))


def _kind(name: str, values: list[Any]) -> bytes:
    known = next((value for value in values if value is not None), "")
    if isinstance(known, int):
        return b"\x26\x08" if "DATE" in name or name == "" and abs(known) >= 2**31 else b"\x26\x04" if name else b"\x38"
    if isinstance(known, bytes):
        is_short = all(value is None or len(value) == 8 for value in values)
        return b"\xad\x08\0" if is_short else b"\xa5\xff\xff"
    is_short = name in ("Key", "COLUMN_NAME")
    return b"\xe7" + (b"\xa0\x0f" if is_short else b"\xff\xff") + COLLATION


def _packed_value(value: Any, kind: bytes) -> bytes:
    if kind == b"\x38":
        return struct.pack("<i", value)
    if kind[0] == 0x26:
        return bytes([kind[1]]) + int(value).to_bytes(kind[1], "little", signed=True)
    raw = value.encode("utf-16-le", "surrogatepass") if isinstance(value, str) else value
    if kind[1:3] != b"\xff\xff":
        return struct.pack("<H", len(raw)) + raw
    middle = len(raw) // 4 * 2  # in two parts
    parts = [part for part in (raw[:middle], raw[middle:]) if part]
    packed = b"".join(struct.pack("<I", len(part)) + part for part in parts)
    return struct.pack("<Q", len(raw)) + packed + bytes(4)


def _done(status: int = 0, token: int = 0xFD) -> bytes:
    return struct.pack("<BHHQ", token, status, 0, 0)


def _error(number: int, severity: int) -> bytes:
    return _text_message(0xAA, number, severity)


def _text_message(token: int, number: int, severity: int) -> bytes:
    said = "what the server says, with canary-of-the-server".encode("utf-16-le")
    content = struct.pack("<iBBH", number, 1, severity, len(said) // 2) + said + b"\0\0" + struct.pack("<I", 1)
    return bytes([token]) + struct.pack("<H", len(content)) + content


def _acknowledged() -> bytes:
    name = "Microsoft SQL Server".encode("utf-16-le")
    content = b"\x01" + struct.pack(">I", 0x74000004) + bytes([len(name) // 2]) + name + b"\x10\0\x03\xe8"
    return b"\xad" + struct.pack("<H", len(content)) + content


def _text_change(kind: int, new: str, old: str) -> bytes:
    content = bytes([kind]) + b"".join(bytes([len(text)]) + text.encode("utf-16-le") for text in (new, old))
    return b"\xe3" + struct.pack("<H", len(content)) + content


def _bytes_change(kind: int, new: bytes, old: bytes = b"") -> bytes:
    if kind == 9:
        new = b""
    content = bytes([kind, len(new)]) + new + bytes([len(old)]) + old
    return b"\xe3" + struct.pack("<H", len(content)) + content


async def main(port: int, folder: Path, options: Mapping[str, Any]) -> None:
    server = Server(folder / "sqlserver.db")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(server, Channel(reader, writer), options)
        try:
            await client.serve()
        except (Ended, OSError, ssl.SSLError, LookupError, struct.error, UnicodeDecodeError):
            pass
        finally:
            await client.close()
            writer.transport.abort()

    async with await asyncio.start_server(connected, "127.0.0.1", port) as listening:
        await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}))
