"""Answers of hostile or broken servers of NATS."""

from __future__ import annotations

import json
import re

from servers.hostile_proxy import Fault, Peer
from servers.server_faults import MANY, PIECE

INFO = b'INFO {"server_id":"x","version":"2.15.2","proto":1,"headers":true,"max_payload":1048576}\r\n'
_REQUEST = re.compile(rb"^H?PUB \S+ (\S+) [0-9 ]+\r\n", re.MULTILINE)


async def greet(peer: Peer) -> bytes:
    """Take the login of a client, or what came on a connection that has one; return what followed."""
    await peer.send(INFO)
    data = await peer.request()
    await peer.send(b"PONG\r\n")
    return data


def says(first: bytes, then: bytes = b"", *, drips: bool = False) -> Fault:
    """Return a fault that greets, sends `first`, and then `then` without end, or nothing more."""

    async def fault(peer: Peer) -> None:
        await greet(peer)
        if drips:
            await peer.drip(first, 0.3)
        await peer.send(first)
        await (peer.flood(then) if then else peer.linger())

    return fault


def begins(first: bytes, then: bytes = b"") -> Fault:
    """Return a fault that sends this in the place of a greeting."""

    async def fault(peer: Peer) -> None:
        await peer.send(first)
        await (peer.flood(then) if then else peer.linger())

    return fault


def answers(body: bytes, header: bytes = b"", times: int = 1) -> Fault:
    """Return a fault that answers each request so many times."""

    async def fault(peer: Peer) -> None:
        data = await greet(peer)
        while data:
            for inbox in _REQUEST.findall(data):
                await peer.send(reply(inbox, body, header) * times)
            data = await peer.request()

    return fault


def reply(inbox: bytes, body: bytes, header: bytes = b"") -> bytes:
    if header:
        return b"HMSG %b 1 %d %d\r\n%b\r\n" % (inbox, len(header), len(header) + len(body), header + body)
    return b"MSG %b 1 %d\r\n%b\r\n" % (inbox, len(body), body)


async def floods_answers(peer: Peer) -> None:
    """Answer one request for ever."""
    data = await greet(peer)
    while data and not (found := _REQUEST.findall(data)):
        data = await peer.request()
    if data:
        await peer.flood(reply(found[0], b"{}") * 1000)


def read(**fields: object) -> bytes:
    """Return an answer to a read of the key that the tests of hostile servers use, which is no good one."""
    return json.dumps({"message": {"subject": "$KV.states.other", "seq": 1, **fields}}).encode()


OTHERS = ",".join(f'"10.0.{number // 250}.{number % 250}:4222"' for number in range(2000)).encode()
NATS: dict[str, Fault] = {
    "a byte now and then": says(b"MSG a 1 1000000\r\nx", drips=True),
    "a greeting that does not end": begins(b"INFO {", b" " * PIECE),
    "a greeting that is nested": begins(b"INFO " + b"[" * 30_000 + b"\r\n"),
    "a greeting that is a list": begins(b"INFO []\r\n"),
    "a greeting of other types": begins(b'INFO {"max_payload":"x","version":3,"headers":[],"nonce":{}}\r\nPONG\r\n'),
    "a limit of less than nothing": begins(b'INFO {"headers":true,"max_payload":-1}\r\nPONG\r\n'),
    "greetings without end": begins(b"", INFO * 500),
    "greetings without end, later": says(b"", INFO * 500),
    "greetings that name many servers": says(b"", INFO[:-3] + b',"connect_urls":[' + OTHERS + b"]}\r\n"),
    "a greeting that wants TLS": begins(INFO[:-3] + b',"tls_required":true}\r\n'),
    "a message of 2 GB": says(b"MSG a 1 2147483648\r\n", b"x" * PIECE),
    "a message of 10^5000 bytes": says(b"MSG a 1 1" + b"0" * 5000 + b"\r\n", b"x" * PIECE),
    "a header of 2 GB": says(b"HMSG a 1 2147483640 2147483648\r\n", b"a: b\r\n" * 10_000),
    "a header of a million fields": answers(b"{}", b"".join(b"%d: x\r\n" % number for number in range(1_000_000))),
    "a header that is longer than its message": says(b"HMSG a 1 1000 10\r\n", b"x" * PIECE),
    "a line that does not end, later": says(b"MSG ", b"x" * PIECE),
    "messages to nobody": says(b"", b"MSG a 1 2\r\n{}\r\n" * 3000),
    "messages of no subscription": says(b"", b"MSG a 9 2\r\n{}\r\n" * 3000),
    "answers without end": floods_answers,
    "pings without end": says(b"", b"PING\r\n" * 10_000),
    "pongs without end": says(b"", b"PONG\r\n" * 10_000),
    "nothing without end": says(b"", b"+OK\r\n" * 10_000),
    "errors without end": says(b"", b"-ERR 'permissions violation for nobody'\r\n" * 1000),
    "an error that does not end": says(b"-ERR '", b"x" * PIECE),
    "an error without words": says(b"-ERR \r\n"),
    "no protocol": says(b"HTTP/1.1 200 OK\r\n\r\n"),
    "nested JSON": answers(b"[" * MANY + b"]" * MANY),
    "nested objects": answers(b'{"a":' * MANY + b"1" + b"}" * MANY),
    "a list": answers(b"[]"),
    "words that are no text": answers(b'"\xff\xfe"'),
    "a number of 1 MB": answers(b'{"seq":' + b"1" * 1_000_000 + b"}"),
    "an answer of 40 MB": answers(b" " * 40_000_000),
    "an answer to another question": answers(read()),
    "two answers": answers(b"{}", times=2),
    "nobody serves": answers(b"", b"NATS/1.0 503\r\n\r\n"),
}
