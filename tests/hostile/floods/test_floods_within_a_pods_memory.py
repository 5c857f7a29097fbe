"""With the memory that a pod's sidecar has by default, no flood ends it: what is too much is refused."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from hostile.conftest import Promise
from hostile.effort import Effort
from hostile.floods import test_floods_of_items, test_grpc_floods, test_http_floods
from hostile.floods.conftest import SAVE, Http, Target, many_files, request
from hostile.floods.test_grpc_floods import Flood, get
from hostile.floods.test_http_floods import MIB, with_send
from servers.delivered_folder import deliver
from servers.memory_group import memory_group
from servers.pannier_process import Pannier
from servers.processes import free_port
from servers.redis_server import RedisServer
from servers.usage import peak_mib

from pannier_operator.settings import SidecarSettings
from pannier_sidecar.http2 import frames

LIMIT = SidecarSettings().memory_limit
PROMISE = f"A memory limit of {LIMIT}, the default in a pod, ends no sidecar: what is too much is refused"
ON = "Redis 7.0"


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with in_a_pod(tmp_path) as target:
        yield target


@pytest.fixture
def target_with_parts(tmp_path: Path) -> Iterator[Target]:
    with in_a_pod(tmp_path, largeValues="true") as target:
        yield target


@contextmanager
def in_a_pod(tmp_path: Path, **more: str) -> Iterator[Target]:
    """Serve as in a pod: with a limit, and a store on Redis, so that the sidecar holds no data itself."""
    (tmp_path / "redis").mkdir()
    (tmp_path / "components").mkdir()
    server, metrics = RedisServer(tmp_path / "redis"), free_port()
    deliver(tmp_path / "components", "statestore", "state.redis", {**server.settings, **more}, app_id="app")
    arguments = ("--app-id", "app", "--components", tmp_path / "components", "--mode", "kubernetes")
    ports = ("--http-port", 0, "--grpc-port", 0, "--metrics-port", metrics)
    mib = re.fullmatch(r"(\d+)Mi", LIMIT)
    assert mib is not None
    with memory_group(int(mib[1])) as group:
        pannier = Pannier("serve", *arguments, *ports, through=group.through)
        try:
            yield Target(pannier, pannier.port(), pannier.grpc_port(), metrics)
        finally:
            pannier.close()
            server.stop()


def at_once(count: int, call: Callable[[], None]) -> None:
    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def answers(target: Target, clients: int, method: str, path: str, body: bytes = b"") -> Counter[int]:
    """Send a request from many clients at the same time, and count the statuses; 0: the connection was closed."""
    statuses: Counter[int] = Counter()

    def call() -> None:
        try:
            with Http(target.connect()) as client:
                statuses[client.call(method, path, body)[0]] += 1
        except (OSError, IndexError):
            statuses[0] += 1

    at_once(clients, call)
    return statuses


BODIES = {
    **{name: (path, body) for name, (path, body, _) in test_http_floods.MANY.items()},
    **{name: (path, body.encode()) for name, (_, path, body) in test_floods_of_items.COSTLY.items() if body},
    **{name: (path, body.encode()) for name, (path, body) in test_floods_of_items.LARGE.items()},
    "lists in each other": (SAVE, b'[{"key":"k","value":' + b"[" * (4 * MIB - 100)),
    "objects in each other, with names in another case": (SAVE, b'[{"Key":"k","metadata":' + b'{"a":' * 700_000),
    "numbers instead of items": (SAVE, b"[" + b"1," * 2_000_000 + b"1]"),
    "a value of very many lists, with names in another case": (
        SAVE, b'[{"Key":"k","value":[' + b"[]," * 1_300_000 + b"1]}]",
    ),
    "JSON in a string": (SAVE, json.dumps(json.dumps([{"Key": "k", "value": "x" * 3_000_000}])).encode()),
}  # fmt: skip


def test_bodies_that_cost_more_than_their_size(target: Target, promise: Promise, effort: Effort) -> None:
    clients = effort.times(20, 60)
    statuses: Counter[int] = Counter()
    with target.flooded() as used:
        for path, body in BODIES.values():
            statuses += answers(target, clients, "POST", path, body)
    assert statuses.keys() <= {200, 201, 400, 413, 503, 0}, statuses
    assert target.pannier.process.poll() is None
    counted = f"{statuses[413]} refused with 413, {statuses[503]} with 503; {used}"
    promise(PROMISE, on=ON, fault="costly bodies of 4 MiB", times=clients * len(BODIES), counted=counted)


def test_large_values(target: Target, promise: Promise, effort: Effort) -> None:
    """Four clients that save and read 4 MiB each are all served; if more of them do it at once, some must wait."""
    body = json.dumps([{"key": "large", "value": "x" * (4 * MIB - 100)}]).encode()
    keys = json.dumps({"keys": [f"l{number}" for number in range(6)]}).encode()
    for number in range(6):
        target.save(f"l{number}", "x" * (3 * MIB))
    times = effort.times(2, 10)
    with target.flooded() as used:
        for _ in range(times):
            assert answers(target, 4, "POST", SAVE, body) == {201: 4}
            assert answers(target, 4, "GET", SAVE + "/large") == {200: 4}
    refused: Counter[int] = Counter()
    with target.flooded() as used:
        for _ in range(times):
            refused += answers(target, 64, "POST", SAVE, body)
            refused += answers(target, 64, "GET", SAVE + "/large")
            refused += answers(target, 16, "POST", SAVE + "/bulk", keys)
    assert refused.keys() <= {200, 201, 503}, refused
    assert refused[200] and refused[201], refused
    counted = f"{refused[503]} refused with 503; {used}"
    promise(PROMISE, on=ON, fault="saves and reads of 4 MiB, and of 18 MiB", times=refused.total(), counted=counted)


def test_values_in_parts(target_with_parts: Target, promise: Promise, effort: Effort) -> None:
    """Values of 8 MiB that many clients send and read at once, quickly, slowly and not at all."""
    target, value = target_with_parts, b"x" * (8 * MIB)
    path = "/v1.0-alpha1/state/statestore/large/value"
    assert answers(target, 1, "PUT", path, value) == {201: 1}
    clients = effort.times(40, 120)
    statuses: Counter[int] = Counter()
    with target.flooded() as used:
        statuses += answers(target, clients, "PUT", path, value)
        statuses += answers(target, clients, "GET", SAVE + "/large")
        with ExitStack() as stack:
            for _ in range(clients):
                reader = stack.enter_context(closing(target.connect(receive_buffer=4096)))
                reader.sendall(request("GET", SAVE + "/large"))
                sender = stack.enter_context(closing(target.connect()))
                with_send(sender, request("PUT", path, value[: 300 * 1024], length=len(value)))
            target.pannier.until(lambda: answers(target, 1, "GET", path) == {200: 1}, "another client is served")
    assert statuses.keys() <= {200, 201, 503, 0}, statuses
    assert statuses[200] and statuses[201], statuses
    counted = f"{statuses[503] + statuses[0]} given up; {used}"
    fault = "values of 8 MiB in parts that are sent and read, quickly, slowly and not at all"
    promise(PROMISE, on=ON, fault=fault, times=4 * clients, counted=counted)


def test_grpc_messages_and_answers_that_are_not_read(target: Target, promise: Promise, effort: Effort) -> None:
    target.save("large", "x" * (4 * MIB - 200))
    times = effort.times(4, 16)
    with target.flooded() as used:
        for method, message in test_grpc_floods.MANY.values():
            for _ in range(times):
                with closing(Flood(target, frames.MAX_WINDOW)) as flood:
                    with_send(flood.sock, flood.call(method, message, is_gzip=True))
                    time.sleep(0.02)
        for window in (0, frames.MAX_WINDOW):
            with ExitStack() as stack:
                for _ in range(4):
                    flood = stack.enter_context(closing(Flood(target, window)))
                    flood.sock.sendall(b"".join([flood.call("GetState", get("large")) for _ in range(16)]))
                time.sleep(effort.seconds(0.5, 3))
    fault = "gzip messages of very many fields, and values of 4 MiB that are not read"
    promise(PROMISE, on=ON, fault=fault, times=times * len(test_grpc_floods.MANY) + 128, counted=str(used))


def test_connections(target: Target, promise: Promise, effort: Effort) -> None:
    count = effort.times(3000, 6000)
    part = request("POST", SAVE, b"x" * (4 * MIB - 1), length=4 * MIB)
    beginnings = (b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nx: " + b"y" * 15_000)
    for port in (target.http, target.grpc, target.metrics):
        for sent in beginnings:
            with many_files(), ExitStack() as stack:
                for _ in range(count):
                    with_send(stack.enter_context(closing(target.connect(port))), sent)
                target.save("a", 1)
    with ExitStack() as stack:
        for _ in range(40):
            with_send(stack.enter_context(closing(target.connect())), part)
        target.save("a", 1)
    target.save("large", "x" * (4 * MIB - 100))
    with ExitStack() as stack:
        for _ in range(40):
            sock = stack.enter_context(closing(target.connect(receive_buffer=4096)))
            sock.sendall(request("GET", SAVE + "/large"))
        target.pannier.until(lambda: answers(target, 1, "GET", SAVE + "/a") == {200: 1}, "another client is served")
    assert target.pannier.process.poll() is None
    fault = "connections that send half a request or nothing, and answers that are not read"
    counted = f"{peak_mib(target.pid):.0f} MiB at most"
    promise(PROMISE, on=ON, fault=fault, times=6 * count + 80, counted=counted)
