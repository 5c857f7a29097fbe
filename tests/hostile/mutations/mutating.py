"""Valid inputs of each port, and mutations of them that nobody would send by mistake alone."""

from __future__ import annotations

import gzip
import random
from collections.abc import Sequence

from servers.grpc_protos import DAPR, LAYOTTO

from pannier_sidecar.http2 import frames
from pannier_sidecar.http2.headers import literal

TOKENS = (
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b"%", b"%2F", b"%zz", b"//", b"/../", b":", b";", b",", b'"', b"\\"),
    *(b"\\ud800", b"\\u0000", b"null", b"[", b"]", b"{", b"}", b"[[" * 600, b"-1", b"0", b"1e999", b"NaN", b"9" * 4301),
    *(b"\xff", b"\xed\xa0\x80", "ü٣".encode(), b"||", b" ", b"\t", b"\x1f\x8b\x08", b"a" * 3000),
    *(b"Host: evil.example\r\n", b"Origin: null\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 7\r\n"),
    *(b"Expect: 100-continue\r\n", b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"HTTP/1.0", b"HTTP/2.0"),
)
NUMBERS = (0, 1, 2, 5, 127, 128, 255, 256, 16384, 2**24 - 1, 2**31 - 1, 2**32 - 1)


def request(method: str, target: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


ITEM = b'{"key":"k","value":{"a":[1.50,"\\u00e9"]},"etag":"1","metadata":{"ttlInSeconds":"9"},"options":{"concurrency":'
ITEM += b'"first-write","consistency":"strong","retryPolicy":{"interval":1,"threshold":1,"pattern":"linear"}}}'
OPERATION = b'{"operation":"upsert","request":' + ITEM + b"}"
CHUNKED = b"4;a=b\r\n[   \r\n1\r\n]\r\n0\r\nT: 1\r\n\r\n"
STORE = "/v1.0/state/statestore"
OF_HTTP = (
    request("POST", STORE, b"[" + ITEM + b"]", "Content-Type: application/json"),
    request("PUT", "/v1.0/state?metadata.ttlInSeconds=5", b"[" + ITEM + b"," + ITEM + b"]"),
    request("POST", STORE, b"", "Transfer-Encoding: chunked") + CHUNKED,
    request("GET", STORE + "/k%20%C3%A9?consistency=strong&metadata.a=b", b"", "traceparent: 00-1-1-00"),
    request("DELETE", STORE + "/k?concurrency=first-write&retryInterval=1&retryThreshold=2", b"", "If-Match: 1"),
    request("POST", STORE + "/bulk?metadata.a=b", b'{"keys":["k","l"],"parallelism":2,"metadata":{"a":null}}'),
    request("POST", STORE + "/transaction", b'{"operations":[' + OPERATION + b'],"metadata":{"a":"b"}}'),
    request("GET", "/v1.0-alpha1/state/statestore/keys?prefix=k&limit=10&values=true&cursor=aw%3D%3D"),
    request("POST", "/v1.0-alpha1/state/statestore/bulk-delete", b"[" + ITEM + b"]"),
    request("DELETE", "/v1.0-alpha1/actors/cat/tom/state?limit=10&cursor=aw%3D%3D"),
    request("POST", "/v1.0-alpha1/state/statestore/query", b'{"filter":{}}'),
    request("GET", "/v1.0/actors/cat/tom/state/k"),
    request("POST", "/v1.0/actors/cat/tom/state", b"[" + OPERATION + b"]"),
    request("PUT", "/v1.0/metadata/colour", b"blue"),
    request("GET", "/v1.0/metadata") + request("GET", "/v1.0/healthz?verbose") + request("GET", "/v1.0/healthz"),
    request("OPTIONS", STORE, b"", "Origin: http://localhost", "Access-Control-Request-Method: POST"),
    request("GET", "http://localhost/metrics") + request("HEAD", "/") + request("GET", "/openapi.json/x"),
)


def call(stream: int, service: str, method: str, message: bytes, *extra: tuple[bytes, bytes], is_gzip: bool) -> bytes:
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", f"/{service}/{method}".encode())]
    fields += [(b":authority", b"localhost"), (b"content-type", b"application/grpc"), (b"te", b"trailers"), *extra]
    if is_gzip:
        fields.append((b"grpc-encoding", b"gzip"))
        message = gzip.compress(message)
    block = b"".join(literal(name, value) for name, value in fields)
    content = bytes([is_gzip]) + len(message).to_bytes(4, "big") + message
    head = frames.frame(frames.HEADERS, frames.END_HEADERS, stream, block)
    return head + frames.frame(frames.DATA, frames.END_STREAM, stream, content)


STORE_AND_KEY = b"\x0a\x0astatestore\x12\x01k"
STATE = b"\x0a\x01k\x12\x03abc\x1a\x03\x0a\x011\x22\x0f\x0a\x0cttlInSeconds\x12\x019\x2a\x04\x08\x01\x10\x02"
STATES = b"\x0a\x0astatestore\x12" + bytes([len(STATE)]) + STATE
OF_GRPC = tuple(
    call(1, service, method, message, (b"grpc-timeout", b"5S"), is_gzip=is_gzip)
    for service, method, message in (
        (DAPR, "GetState", STORE_AND_KEY),
        (DAPR, "GetBulkState", STORE_AND_KEY + b"\x12\x01l\x18\x02"),
        (DAPR, "SaveState", STATES),
        (DAPR, "DeleteBulkState", STATES),
        (DAPR, "GetActorState", b"\x0a\x03cat\x12\x03tom\x1a\x01k"),
        (DAPR, "GetMetadata", b""),
        (LAYOTTO, "SaveState", STATES),
        (LAYOTTO, "SayHello", b"\x12\x01n"),
        ("grpc.health.v1.Health", "Check", b""),
        ("grpc.reflection.v1.ServerReflection", "ServerReflectionInfo", b"\x3a\x00"),
    )
    for is_gzip in (False, True)
)
GREETING = frames.PREFACE + frames.settings({})


def mutated(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """Return one or two of the seeds with a few changes."""
    raw = bytearray(b"".join(chance.choices(seeds, k=chance.choice((1, 1, 1, 2)))))
    for _ in range(chance.choice((1, 1, 2, 3, 5))):
        at = chance.randrange(len(raw) + 1)
        end = min(len(raw), at + chance.choice((0, 1, 1, 2, 4, 8, 40)))
        how = chance.randrange(7)
        if how == 0:
            raw[at:end] = chance.choice(TOKENS)
        elif how == 1:
            raw[at:at] = chance.choice(TOKENS)
        elif how == 2:
            del raw[at:end]
        elif how == 3:
            raw[at:at] = raw[at:end] * chance.choice((1, 2, 50))
        elif how == 4 and at < len(raw):
            raw[at] = chance.randrange(256)
        elif how == 5:
            size = chance.choice((1, 2, 3, 4))
            raw[at : at + size] = chance.choice(NUMBERS).to_bytes(4, "big")[-size:]
        else:
            raw[at:] = chance.choice(seeds)[chance.randrange(40) :]
    return bytes(raw)


def mutated_frames(chance: random.Random) -> bytes:
    """Return an HTTP/2 preface, and calls with changes in their bytes or between their frames."""
    if chance.random() < 0.05:
        return mutated((GREETING + OF_GRPC[0],), chance)
    raw = mutated(OF_GRPC, chance) if chance.random() < 0.6 else b"".join(chance.choices(OF_GRPC, k=2))
    for _ in range(chance.randrange(3)):
        noise = chance.randbytes(chance.choice((0, 1, 4, 5, 8, 30)))
        kind, flags, stream = chance.randrange(12), chance.randrange(256), chance.choice((0, 1, 1, 2, 3, 2**31 - 1))
        extra = frames.frame(kind, flags, stream, noise)
        raw = extra + raw if chance.random() < 0.5 else raw + extra
    return GREETING + raw
