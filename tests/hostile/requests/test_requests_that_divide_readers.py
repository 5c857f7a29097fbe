"""Requests that a proxy and the sidecar could delimit or route differently, on every HTTP port."""

from __future__ import annotations

import socket

import pytest
from hostile.browsers.conftest import Laptop
from hostile.conftest import Promise

HEAD = b"POST /v1.0/state/statestore HTTP/1.1\r\nHost: localhost\r\n"
BODY = b'[{"key":"smuggled"}]'
CHUNKS = b"14\r\n" + BODY + b"\r\n0\r\n\r\n"
LENGTH, CHUNKED = b"Content-Length: 20\r\n", b"Transfer-Encoding: chunked\r\n"
BEHIND = b"POST /v1.0/state/statestore HTTP/1.1\r\nHost: localhost\r\n" + LENGTH + b"\r\n" + BODY
DIVIDING = (
    HEAD + LENGTH + b"Content-Length: 5\r\n\r\n" + BODY,
    HEAD + LENGTH + LENGTH + b"\r\n" + BODY,
    HEAD + LENGTH + CHUNKED + b"\r\n" + CHUNKS,
    HEAD + CHUNKED + LENGTH + b"\r\n" + CHUNKS,
    HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS,
    HEAD + b"Transfer-Encoding: gzip\r\n" + CHUNKED + b"\r\n" + CHUNKS,
    HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
    HEAD + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS,
    HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKS,
    HEAD + b"A: b\r\n c\r\n" + LENGTH + b"\r\n" + BODY,
    HEAD + b"A: b\n" + LENGTH + b"\r\n" + BODY,
    HEAD + b"A: b\rc\r\n" + LENGTH + b"\r\n" + BODY,
    HEAD + b"A: b\0c\r\n" + LENGTH + b"\r\n" + BODY,
    HEAD + CHUNKED + b"\r\n14\n" + BODY + b"\n0\n\n",
    HEAD + b"host: localhost\r\n" + LENGTH + b"\r\n" + BODY,
    HEAD.replace(b"Host: localhost\r\n", b"") + LENGTH + b"\r\n" + BODY,
    HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + CHUNKED + b"\r\n" + CHUNKS,
    HEAD.replace(b"HTTP/1.1", b"HTTP/2.0") + LENGTH + b"\r\n" + BODY,
)


def answers_to(port: int, raw: bytes) -> bytes:
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(raw)
        client.shutdown(socket.SHUT_WR)
        try:
            while chunk := client.recv(65536):
                received += chunk
        except ConnectionError:
            pass
    return received


def test_they_are_refused_and_nothing_behind_them_is_read(
    laptop: Laptop, promise: Promise, subtests: pytest.Subtests
) -> None:
    for raw in DIVIDING:
        with subtests.test(repr(raw.replace(HEAD, b""))):
            for port in laptop.http_ports:
                answers = answers_to(port, raw + BEHIND)
                assert answers.startswith(b"HTTP/1.1 400 ")
                assert answers.count(b"\r\ndate: ") == 1
                assert b"connection: close" in answers
            found = answers_to(laptop.api, b"GET /v1.0/state/statestore/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert found.startswith(b"HTTP/1.1 204 ")
    promise(
        "A request that two parsers could delimit differently is refused, and nothing after it is read",
        on="the HTTP API, the public port, the metrics port",
        fault="request smuggling: lengths, transfer codings, folded lines, line ends, hosts, versions",
        times=3 * len(DIVIDING),
        counted=f"{3 * len(DIVIDING)} refused; 0 writes carried out",
    )
