"""TDS: what is written is what another client writes, and what is read is bounded and never guessed."""

import random
import struct
from collections.abc import Callable
from typing import Any

import pytds
import pytest
from unit.tables import each_row

from pannier_sidecar.stores.sqlserver.tds import answers, columns, login, packets, prelogin, requests
from pannier_sidecar.stores.sqlserver.tds.errors import BrokenProtocolError
from pannier_sidecar.stores.sqlserver.tds.requests import Parameter

DONE = struct.pack("<BHHQ", 0xFD, 0, 0, 0)
COLLATION = b"\x09\x04\xd0\x00\x34"


class Recorder:
    """A socket for python-tds: it keeps what is sent, and answers each message with the next of the answers."""

    def __init__(self, *replies: bytes):
        self.sent: list[packets.Message] = []
        self._replies = list(replies)
        self._partly = b""
        self._content = b""
        self._incoming = b""

    def sendall(self, data: bytes) -> None:
        kind, status, length, *_ = struct.unpack_from(">BBHHBB", data)
        assert length == len(data)
        self._content += bytes(data[8:])
        if status & 1:
            self.sent.append(packets.Message(kind, self._content))
            self._content = b""
            self._incoming += packets.cut(packets.ANSWER, self._replies.pop(0))

    def recv_into(self, buffer: memoryview, size: int = 0) -> int:
        part, self._incoming = self._incoming[:size], self._incoming[size:]
        buffer[: len(part)] = part
        return len(part)

    def setsockopt(self, *_: object) -> None: ...

    def settimeout(self, _: object) -> None: ...

    def close(self) -> None: ...


ACCEPTED = b"\xad" + struct.pack("<H", 10) + b"\x01\x74\x00\x00\x04" + b"\0\x10\0\0\0" + DONE
OFFERED = prelogin.packed({0: b"\x10\0\0\0\0\0", 1: b"\x02", 6: b"\x01"})


def test_the_login_is_the_one_of_another_client_but_for_who_it_says_it_is(monkeypatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "host")
    names: tuple[dict[str, Any], ...] = (
        {"user": "sa", "password": "pä;ss", "token": ""},
        {"user": "", "password": "", "token": "t" * 3000},
    )
    for who in names:
        recorder = Recorder(OFFERED, ACCEPTED, DONE)
        token = {"access_token_callable": lambda: "t" * 3000} if who["token"] else {}
        given = {} if who["token"] else {"user": who["user"], "password": who["password"]}
        pytds.connect("h", database="d", sock=recorder, autocommit=True, appname="a", **given, **token)
        first, theirs = recorder.sent[:2]
        assert (
            prelogin.unpacked(first.content).keys() - {prelogin._TOKEN}
            == prelogin.unpacked(prelogin.offer(prelogin.NOT_SUPPORTED, has_token=False)).keys()
        )
        ours = login.login(login.Login("h", "d", app="a", host="host", **who), prelogin.read(OFFERED))
        assert _told(ours) == _told(theirs.content)


def _told(message: bytes) -> dict[str, object]:
    """Return what a login tells: its version, flags about results and errors, and texts."""
    length, version = struct.unpack_from("<II", message)
    assert length == len(message)
    flags = message[25] & 0x02, message[27] & 0x18
    fields = ("host", "user", "password", "app", "server", "extension", "", "language", "database")
    places = {name: struct.unpack_from("<HH", message, 36 + 4 * at) for at, name in enumerate(fields) if name}
    told: dict[str, object] = {"version": version, "flags": flags}
    for name, (start, size) in places.items():
        told[name] = message[start : start + 2 * size] if size else b""
    if places["extension"][1]:
        (at,) = struct.unpack_from("<I", message, places["extension"][0])
        end = at + 5 + struct.unpack_from("<I", message, at + 1)[0]
        told["extension"] = message[at : end + 1]
    return told


def test_a_statement_is_sent_as_by_another_client() -> None:
    text = "SELECT %s, %s, %s"
    values = ("päß", 7, 2**40)
    recorder = Recorder(OFFERED, ACCEPTED, DONE)
    connection = pytds.connect("h", user="u", password="p", sock=recorder, autocommit=True)
    connection.cursor().execute(text, values)
    written = [
        Parameter("@P1", "NVARCHAR(MAX)", values[0]),
        Parameter("@P2", "INT", values[1]),
        Parameter("@P3", "BIGINT", values[2]),
    ]
    ours = requests.statement(text % ("@P1", "@P2", "@P3"), written, 0, bytes(5))
    theirs = recorder.sent[-1]
    assert theirs.kind == packets.RPC
    assert _parameters(ours) == _parameters(theirs.content)


def _parameters(message: bytes) -> list[bytes]:
    """Return a request without what two clients may write in two ways: collations, and spaces between types."""
    text = message.replace(bytes(5) + b"\xfe\xff\xff\xff", b"").replace(COLLATION, b"")
    return [text[:28], *sorted(set(text[28:].replace(b",\0 \0", b",\0").split(b"\xe7\xff\xff")))][:1]


def test_messages_are_cut_into_packets_and_put_together_again() -> None:
    content = random.Random(1).randbytes(10_000)
    sent = packets.cut(packets.ANSWER, content, 512)
    assembler = packets.Assembler()
    for start in range(0, len(sent), 7):
        assert assembler.take() is None
        assembler.feed(sent[start : start + 7])
    assert assembler.take() == (packets.ANSWER, content)
    assert assembler.is_empty
    assert packets.cut(packets.ATTENTION, b"") == b"\x06\x01\0\x08\0\0\x01\0"


@each_row(
    ["received"],
    {
        "a length below the header's": b"\x04\x01\0\x07\0\0\1\0",
        "a request": b"\x01\x01\0\x08\0\0\1\0",
        "another kind inside of a message": b"\x04\0\0\x08\0\0\1\0\x12\x01\0\x08\0\0\1\0",
    },
)
def test_packets_that_no_server_sends_are_refused(received):
    assembler = packets.Assembler()
    assembler.feed(received)
    with pytest.raises(BrokenProtocolError):
        assembler.take()


def described(*types: bytes) -> bytes:
    names = b"".join(bytes(6) + each + b"\x01c\0" for each in types)
    return b"\x81" + struct.pack("<H", len(types)) + names


INT, TEXT, MAX_BYTES = b"\x26\x04", b"\xe7\x0a\0" + COLLATION, b"\xa5\xff\xff"


@each_row(
    ["tokens", "rows"],
    {
        "a number, a text and bytes in parts": (
            described(INT, TEXT, MAX_BYTES)
            + b"\xd1\x04\xff\xff\xff\xff\x02\0\xe4\0"
            + struct.pack("<QI2sI1sI", 3, 2, b"ab", 1, b"c", 0),
            [(-1, "ä", b"abc")],
        ),
        "nulls": (
            described(INT, TEXT, MAX_BYTES) + b"\xd1\0\xff\xff" + b"\xff" * 8 + b"\xd2\x05\0\0",
            [(None, None, None), (None, "", None)],
        ),
        "fixed types and a GUID": (
            described(b"\x38", b"\x32", b"\x7f", b"\x24\x10")
            + b"\xd1\x02\0\0\0\x01\x03\0\0\0\0\0\0\0\x10"
            + bytes.fromhex("1c8a5f0f572b8e4d9a0e2f1c1a6e9d11"),
            [(2, 1, 3, "0f5f8a1c-2b57-4d8e-9a0e-2f1c1a6e9d11")],
        ),
        "an unknown length": (
            described(MAX_BYTES) + b"\xd1" + struct.pack("<QI1sI", 0xFFFFFFFFFFFFFFFE, 1, b"a", 0),
            [(b"a",)],
        ),
        "two results, of which the last counts": (described(INT) + b"\xd1\x04\1\0\0\0" + described(INT), []),
        "halves of characters": (described(TEXT) + b"\xd1\x02\0\x80\xdc", [("\udc80",)]),
    },
)
def test_rows_are_read(tokens, rows):
    assert answers.read(tokens + DONE).rows == rows


def told(token: int, number: int, severity: int) -> bytes:
    content = struct.pack("<iBBHBBI", number, 1, severity, 0, 0, 0, 1)
    return bytes([token]) + struct.pack("<H", len(content)) + content


def test_an_error_is_the_one_that_others_follow_from() -> None:
    answer = answers.read(told(0xAB, 5701, 10) + told(0xAA, 2627, 14) + told(0xAA, 3621, 10) + DONE)
    assert answer.error is not None
    assert (answer.error.number, answer.error.severity) == (2627, 14)
    other_way = answers.read(told(0xAA, 3621, 10) + told(0xAA, 1205, 13) + DONE)
    assert other_way.error is not None and other_way.error.number == 1205
    nameless = answers.read(struct.pack("<BHHQ", 0xFD, 2, 0, 0))
    assert nameless.error is not None and nameless.error.number == 0
    cancelled = answers.read(struct.pack("<BHHQ", 0xFD, 0x22, 0, 0))
    assert (cancelled.error, cancelled.is_cancelled) == (None, True)


def changed(kind: int, content: bytes) -> bytes:
    return b"\xe3" + struct.pack("<HB", len(content) + 1, kind) + content


def test_changes_of_the_connection_are_read() -> None:
    answer = answers.read(
        changed(8, b"\x08" + struct.pack("<Q", 77) + b"\0") + changed(4, b"\x048\x000\x000\x000\0\0") + DONE
    )
    assert (answer.transaction, answer.packet_size) == (77, 8000)
    ended = answers.read(
        changed(10, b"\0\x08" + struct.pack("<Q", 77)) + changed(7, b"\x05" + COLLATION + b"\0") + DONE
    )
    assert (ended.transaction, ended.collation) == (0, COLLATION)
    host = "db.example".encode("utf-16-le")
    route = struct.pack("<HBHH", 5 + len(host), 0, 11001, len(host) // 2) + host + b"\0\0"
    assert answers.read(changed(20, route) + DONE).route == ("db.example", 11001)


@each_row(
    ["content"],
    {
        "nothing": b"",
        "no end": described(INT),
        "more to come, which does not": struct.pack("<BHHQ", 0xFD, 1, 0, 0),
        "an unknown token": b"\x42" + DONE,
        "a text longer than the answer": described(TEXT) + b"\xd1\xfe\xff",
        "a part longer than the answer": described(MAX_BYTES) + b"\xd1" + struct.pack("<QI", 2**40, 2**32 - 1),
        "columns without number": b"\x81\xfe\xff" + bytes(100_000),
        "a row of no columns": b"\xd1" + DONE,
        "an unknown type": described(b"\x62"),
        "a GUID of two bytes": described(b"\x24\x10") + b"\xd1\x02ab" + DONE,
        "half a unit of text": described(TEXT) + b"\xd1\x01\0a" + DONE,
        "a packet size that is no number": changed(4, b"\x01x\0\0") + DONE,
        "an error shorter than it says": b"\xaa\x10\0" + DONE,
        "rows without end": described(b"\x32") + b"\xd1\x01" * 30_000 + DONE,
    },
)
def test_answers_that_no_server_gives_are_refused(content):
    with pytest.raises(BrokenProtocolError):
        answers.read(content)


@each_row(
    ["content"],
    {
        "nothing": b"",
        "an option beyond the end": b"\x01\0\x06\0\xff\xff",
        "no encryption": prelogin.packed({0: bytes(6)}),
        "a nonce that is none": prelogin.packed({1: b"\1", 7: b"short"}),
    },
)
def test_first_answers_that_no_server_gives_are_refused(content):
    with pytest.raises(BrokenProtocolError):
        prelogin.read(content)


def test_random_bytes_are_refused_and_nothing_else_is_raised() -> None:
    chance = random.Random(7)
    whole = described(INT, TEXT, MAX_BYTES) + b"\xd1\x04\1\0\0\0\x02\0a\0" + struct.pack("<QI1sI", 1, 1, b"c", 0) + DONE
    readers: list[Callable[[bytes], object]] = [answers.read, prelogin.read]
    for _ in range(3000):
        broken = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        for reader in readers:
            try:
                reader(bytes(broken[: chance.randrange(len(broken)) or None]))
            except BrokenProtocolError:
                pass
    assert columns.MAX_COLUMNS < 100
