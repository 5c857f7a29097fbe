"""HTTP clients that send much at once, never finish a request, or read nothing: others are served meanwhile."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import ExitStack, closing

import pytest
from hostile.conftest import Promise
from hostile.effort import Effort
from hostile.floods.conftest import PATIENCE_S, SAVE, Http, Target, many_files, request

MIB = 1024 * 1024
ON = "HTTP, all ports"
SERVED = "While a client floods a sidecar, the sidecar's memory stays bounded and another client is served"


def drain(sock: socket.socket, answers: int) -> int:
    """Read up to this many answers as fast as they arrive; return how many arrived."""
    found, tail = 0, b""
    while found < answers and (chunk := sock.recv(1 << 20)):
        data = tail + chunk
        found += data.count(b"HTTP/1.1 ")
        tail = data[-8:] if not data.endswith(b"HTTP/1.1 ") else b""
    return found


@pytest.mark.parametrize(
    ("port", "path", "count"),
    [
        ("metrics", "/", 12_500),
        ("http", "/openapi.json", 8_000),
        ("http", "/v1.0-alpha1/state/statestore/keys?limit=1000", 2_000),
    ],
    ids=["metrics", "openapi.json", "lists of keys"],
)
def test_one_pipelined_send_starves_nobody(
    target: Target, promise: Promise, effort: Effort, port: str, path: str, count: int
) -> None:
    """The metrics port needs no token; once, it took ten seconds for 250 KB of requests."""
    count = effort.times(count // 4, count)
    if "keys" in path:
        for start in range(0, 1000, 100):
            items = [{"key": f"k{n}", "value": 1} for n in range(start, start + 100)]
            with Http(target.connect()) as client:
                assert client.call("POST", SAVE, json.dumps(items).encode())[0] == 201
    one = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with closing(target.connect(getattr(target, port))) as sock:
        with target.flooded() as used:
            sending = threading.Thread(target=sock.sendall, args=(one * count,))
            sending.start()
            assert drain(sock, count) == count
            sending.join()
    assert used.others_are_served, used
    assert used.cpu_s < count * (0.0025 if "keys" in path else 0.0006) + 2, used
    assert used.grown_mib < 40, used
    promise(SERVED, on=ON, fault=f"pipelined requests in one send: GET {path}", times=count, counted=str(used))


@pytest.mark.parametrize("port", ["http", "metrics"])
def test_unfinished_heads_are_ended_at_their_limit(target: Target, promise: Promise, effort: Effort, port: str) -> None:
    """Once, 1,500 connections with an unfinished header of 230 KB made the sidecar hold 331 MB."""
    count = effort.times(300, 1500)
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nx: " + b"y" * 230_000
    with many_files(), ExitStack() as stack, target.flooded() as used:
        socks = [stack.enter_context(closing(target.connect(getattr(target, port)))) for _ in range(count)]
        for sock in socks:
            with_send(sock, head)
        refused = sum(read_status(sock) == 431 for sock in socks[:50])
    assert refused == 50
    assert used.grown_mib < 20 + count * 0.05, used
    assert used.others_are_served, used
    fault = f"header sections of 230 KB that do not end, on the {port} port"
    promise(SERVED, on=ON, fault=fault, times=count, counted=str(used))


def test_heads_just_below_their_limit_count_too(target: Target, promise: Promise, effort: Effort) -> None:
    count = effort.times(400, 3500)
    fields = b"".join(b"x%d: \r\n" % number for number in range(200))
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + fields + b"x: " + b"y" * (15_000 - len(fields))
    with many_files(), ExitStack() as stack, target.flooded() as used:
        socks = [stack.enter_context(closing(target.connect())) for _ in range(count)]
        for sock in socks:
            with_send(sock, head)
    assert used.grown_mib < 160, used
    assert used.others_are_served, used
    fault = "header sections of 15 KB with 200 fields that do not end"
    promise(SERVED, on=ON, fault=fault, times=count, counted=str(used))


def test_unfinished_uploads_refuse_nobody_elses_writes(target: Target, promise: Promise, effort: Effort) -> None:
    """Once, sixteen uploads one byte short of 4 MiB caused all other writes to be refused for 30 seconds."""
    count = effort.times(20, 64)
    part = request("POST", SAVE, b"x" * (4 * MIB - 1), length=4 * MIB)
    body = json.dumps([{"key": "large", "value": "x" * MIB}]).encode()
    saved = 0
    with ExitStack() as stack, target.flooded() as used:
        for _ in range(count):
            with_send(stack.enter_context(closing(target.connect())), part)
            with Http(target.connect()) as client:
                assert client.call("POST", SAVE, body)[0] == 201
                saved += 1
    assert used.grown_mib < 140, used
    assert used.others_are_served, used
    promise(
        "A client with unfinished uploads is dropped before other clients are",
        on=ON, fault="uploads of 4 MiB that never end", times=count, counted=f"{saved} saves of 1 MiB; {used}",
    )  # fmt: skip


def test_answers_that_nobody_takes_are_held_within_the_budget(target: Target, promise: Promise, effort: Effort) -> None:
    count = effort.times(60, 400)
    target.save("large", "x" * (4 * MIB - 100))
    with ExitStack() as stack, target.flooded() as used:
        for _ in range(count):
            sock = stack.enter_context(closing(target.connect(receive_buffer=4096)))
            sock.sendall(request("GET", SAVE + "/large") * 4)
        time.sleep(effort.seconds(0.5, 3))
        with Http(target.connect()) as client:
            assert len(client.call("GET", SAVE + "/large")[1]) == 4 * MIB - 98
    assert used.grown_mib < 140, used
    assert used.others_are_served, used
    promise(SERVED, on=ON, fault="answers of 4 MiB that are not read", times=count, counted=str(used))


OPERATION = b'{"operation":"delete","request":{"key":"k"}}'
MANY = {
    "items": (SAVE, b"[" + b",".join([b'{"key":"k"}'] * 340_000) + b"]", 413),
    "items without a key": (SAVE, b"[" + b",".join([b"{}"] * 1_300_000) + b"]", 413),
    "items, some after 20,000 keys": (
        SAVE, b"[" + b",".join([b'{"key":""}'] * 20_000 + [b"{}"] * 1_200_000) + b"]", 413,
    ),
    "items in another case": (SAVE, b"[" + b",".join([b'{"Key":"k"}'] * 340_000) + b"]", 413),
    "items with escaped names": (SAVE, b"[" + b",".join([b'{"\\u006bey":"k"}'] * 220_000) + b"]", 413),
    "keys of a bulk get": (SAVE + "/bulk", b'{"keys":[' + b",".join([b'"a"'] * 1_000_000) + b"]}", 413),
    "operations": (
        SAVE + "/transaction", b'{"operations":[' + b",".join([OPERATION] * 90_000) + b"]}", 413,
    ),
    "operations of an actor": (
        "/v1.0/actors/T/1/state", b"[" + b",".join([OPERATION] * 90_000) + b"]", 413,
    ),
    "metadata of one item": (
        SAVE, b'[{"key":"k","metadata":{' + b",".join(b'"%x":""' % n for n in range(380_000)) + b"}}]", 400,
    ),
    "metadata of a bulk get": (
        SAVE + "/bulk", b'{"keys":["k"],"metadata":{' + b",".join(b'"%x":""' % n for n in range(380_000)) + b"}}", 413,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", MANY)
def test_bodies_of_very_many_items_are_refused_before_they_are_read(
    target: Target, promise: Promise, effort: Effort, what: str
) -> None:
    """Once, plain bodies of 4 MiB took up to 6.7 seconds each."""
    path, body, status = MANY[what]
    assert len(body) <= 4 * MIB
    times = effort.times(3, 30)
    with target.flooded() as used, Http(target.connect()) as client:
        for _ in range(times):
            found, answer = client.call("POST", path, body)
            assert found == status, answer[:300]
            assert len(answer) < 5_000
    assert used.cpu_s < 1 + 0.35 * times, used
    assert used.others_are_served, used
    assert used.grown_mib < 130, used
    promise(SERVED, on=ON, fault=f"bodies of 4 MiB with very many {what}", times=times, counted=str(used))


def test_as_many_items_as_are_allowed_are_read_with_pauses(target: Target, promise: Promise, effort: Effort) -> None:
    items = [{"key": f"k{n}", "value": "v" * 300} for n in range(10_000)]
    times = effort.times(2, 20)
    with target.flooded() as used, Http(target.connect()) as client:
        for _ in range(times):
            assert client.call("POST", SAVE, json.dumps(items).encode())[0] == 201
            mismatches = [{"key": item["key"], "value": 1, "etag": "1"} for item in items]
            status, answer = client.call("POST", SAVE, json.dumps(mismatches).encode())
            assert (status, len(answer) < 5_000) == (409, True), answer[:300]
            assert b"and 9980 more" in answer
            keys = json.dumps({"keys": [item["key"] for item in items]}).encode()
            status, answer = client.call("POST", SAVE + "/bulk", keys)
            assert (status, len(json.loads(answer))) == (200, 10_000)
    assert used.others_are_served, used
    assert used.grown_mib < 100, used
    promise(SERVED, on=ON, fault="saves, mismatches and reads of 10,000 items", times=3 * times, counted=str(used))


def test_a_list_passes_over_very_many_keys_of_actors_with_pauses(
    target: Target, promise: Promise, effort: Effort
) -> None:
    """Once, a list of one key skipped 50,000 of them without a pause, for 0.4 seconds."""
    with Http(target.connect()) as client:
        for start in range(0, 50_000, 5_000):
            operations = [
                {"operation": "upsert", "request": {"key": f"k{n}", "value": 1}} for n in range(start, start + 5_000)
            ]
            assert client.call("POST", "/v1.0/actors/T/1/state", json.dumps(operations).encode())[0] == 204
        client.call("GET", "/v1.0-alpha1/state/statestore/keys?limit=1")  # sorts the keys
        times = effort.times(10, 100)
        with target.flooded() as used:
            for _ in range(times):
                status, answer = client.call("GET", "/v1.0-alpha1/state/statestore/keys?limit=1")
                assert (status, [item["key"] for item in json.loads(answer)["keys"]]) == (200, ["well"])
    assert used.others_are_served, used
    assert used.cpu_s < 1 + 0.15 * times, used
    promise(SERVED, on="HTTP, list of keys", fault="50,000 keys of actors", times=times, counted=str(used))


def with_send(sock: socket.socket, data: bytes) -> None:
    """Send as much as the other side accepts; it may have closed meanwhile."""
    try:
        sock.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        pass


def read_status(sock: socket.socket) -> int:
    sock.settimeout(PATIENCE_S)
    return int(sock.recv(100).split()[1])
