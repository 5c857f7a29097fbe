"""Any pod of a cluster can reach the operator's webhooks: its requests use up neither the webhooks' memory nor their
time."""

from __future__ import annotations

import base64
import gzip
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from servers import usage
from servers.processes import free_port, wait_until

from pannier_operator.settings import CertificateSettings
from pannier_operator.webhook.certificates import decide
from pannier_operator.webhook.material import Renew, names_of

MIB = 1024 * 1024
TESTS = Path(__file__).parents[2]
GROWTH_MIB = 140
"""What all of it may add: the chart gives an operator 256 MiB, and it uses about 80 at rest."""
LATENCY_S = 10.0
"""How long an API server waits for an answer, with the chart's defaults."""


class Webhooks:
    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self.pid = pid
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    def connect(self) -> ssl.SSLSocket:
        return self.context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), timeout=60))

    def send(self, path: str, body: bytes, *, length: int | None = None, headers: str = "") -> int:
        """Send a body, and return the status; 0 if the connection ends without one."""
        length = len(body) if length is None else length
        head = f"POST /{path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{headers}\r\n"
        try:
            with self.connect() as connection:
                connection.sendall(head.encode() + body)
                line = connection.recv(100).split()
                return int(line[1]) if line else 0
        except OSError:
            return 0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = names_of("localhost", "here", "cluster.local")
    made = decide(None, names, datetime.now(UTC), namespace="here", settings=CertificateSettings())
    assert isinstance(made, Renew)
    data = {name: base64.b64decode(text) for name, text in made.manifest["data"].items()}
    file = tmp_path_factory.mktemp("webhooks") / "tls.pem"
    file.write_bytes(data["tls.crt"] + b"\n" + data["tls.key"])
    return file


@pytest.fixture(scope="module")
def webhooks(certificate: Path) -> Iterator[Webhooks]:
    port = free_port()
    program = [sys.executable, str(TESTS / "servers" / "webhooks_alone.py"), str(port), str(certificate)]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(program, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"it listens\n"
        yield Webhooks(port, process.pid)
        process.kill()


def review(size: int = 0, uid: str = "u", operation: str = "CREATE") -> bytes:
    component = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": "statestore", "namespace": "shop", "uid": uid, "annotations": {"x": "x" * size}},
        "spec": {"type": "state.in-memory", "version": "v1"},
    }
    request = {
        "uid": uid,
        "operation": operation,
        "resource": {"group": "dapr.io", "version": "v1alpha1", "resource": "components"},
        "namespace": "shop",
        "userInfo": {"username": "somebody"},
        "object": component,
        "oldObject": component if operation != "CREATE" else None,
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


class ApiServer(threading.Thread):
    """Sends reviews one after the other, and measures how long the answers take."""

    def __init__(self, webhooks: Webhooks):
        super().__init__(daemon=True)
        self._webhooks = webhooks
        self._is_over = threading.Event()
        self.statuses: list[int] = []
        self.slowest = 0.0

    def run(self) -> None:
        while not self._is_over.wait(0.02):
            for size in (0, 700 * 1024):  # a small one, and one of the large ones
                before = time.monotonic()
                self.statuses.append(self._webhooks.send("components", review(size)))
                self.slowest = max(self.slowest, time.monotonic() - before)

    def end(self) -> None:
        self._is_over.set()
        self.join()


@contextmanager
def served_meanwhile(webhooks: Webhooks) -> Iterator[ApiServer]:
    """Assert that an API server is answered during the block, in bounded memory."""
    server = ApiServer(webhooks)
    server.start()
    wait_until(lambda: len(server.statuses) > 1, "an API server is answered")
    usage.forget_peak(webhooks.pid)
    base, before = usage.resident_mib(webhooks.pid), len(server.statuses)
    try:
        yield server
        wait_until(lambda: len(server.statuses) >= before + 4, "it still is")
    finally:
        server.end()
    assert set(server.statuses) == {200}
    assert server.slowest < LATENCY_S
    assert usage.peak_mib(webhooks.pid) - base < GROWTH_MIB


def at_once(count: int, send: Callable[[], int]) -> set[int]:
    with ThreadPoolExecutor(count) as pool:
        return {future.result() for future in [pool.submit(send) for _ in range(count)]}


def test_bodies_that_do_not_end_hold_no_memory_and_block_nobody(webhooks: Webhooks, effort: Any, promise: Any) -> None:
    count = effort.times(8, 60)
    with served_meanwhile(webhooks) as server, ExitStack() as open_ones:
        for _ in range(count):
            connection = open_ones.enter_context(webhooks.connect())
            connection.sendall(b"POST /components HTTP/1.1\r\nHost: a\r\nContent-Length: 15000000\r\n\r\n")
            with suppress(OSError):
                connection.sendall(b"x" * 14_999_999)
    promise(
        "Admission reviews whose bodies never end take less than 140 MiB, and API servers still get answers",
        on="the operator's webhooks",
        fault="reviews of 15 MB of which the last byte is not sent",
        times=count,
        counted=f"{len(server.statuses)} reviews answered, the slowest in {server.slowest:.1f} s",
    )


def test_reviews_that_grow_in_memory_are_refused_before(webhooks: Webhooks, effort: Any) -> None:
    bombs = {
        b"[" + b"[]," * (5 * MIB) + b"[]]": "",
        gzip.compress(b"[" + b"0," * (7 * MIB) + b"0]"): "Content-Encoding: gzip\r\n",
        b"[" * 400_000: "",
        b'{"a":' * 100_000: "",
        b"x-" * MIB: "Content-Type: application/json; charset=punycode\r\n",
        review(100)[:-1] + b"\xff": "",
    }
    with served_meanwhile(webhooks):
        for body, headers in bombs.items():
            send = partial(webhooks.send, "pods", body, headers=headers)
            assert at_once(effort.times(3, 20), send) <= {0, 400, 408, 413, 415, 503}, body[:10]


def test_connections_that_do_nothing_give_way(webhooks: Webhooks, effort: Any) -> None:
    with served_meanwhile(webhooks), ExitStack() as open_ones:
        for _ in range(effort.times(300, 3000)):
            connection = open_ones.enter_context(webhooks.connect())
            connection.sendall(b"POST /components HTTP/1.1\r\nHost: a\r\nX-")
        assert len(list(Path(f"/proc/{webhooks.pid}/fd").iterdir())) < 300


def test_reviews_of_objects_that_do_not_exist_leave_nothing_behind(webhooks: Webhooks, effort: Any) -> None:
    with served_meanwhile(webhooks):
        for _ in range(effort.times(100, 2000)):
            assert webhooks.send("components", review(40_000, os.urandom(8).hex(), "UPDATE")) == 200


def policies(named: dict[str, Any]) -> bytes:
    """The review of a Resiliency, as any pod may send it: the API server itself would take fields away."""
    spec = {
        "policies": named,
        "targets": {"components": {f"s{i}": {"outbound": {"retry": f"r{i}"}} for i in range(999)}},
    }
    metadata = {"name": "state", "namespace": "shop"}
    return creation({"apiVersion": "dapr.io/v1alpha1", "kind": "Resiliency", "metadata": metadata, "spec": spec})


def creation(manifest: dict[str, Any]) -> bytes:
    """The review of a new object."""
    request = {"uid": "u", "operation": "CREATE", "namespace": "shop", "object": manifest, "userInfo": {}}
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


def test_policies_with_thousands_of_mistakes_block_nobody(webhooks: Webhooks, effort: Any) -> None:
    hostile = [
        policies({"retries": {f"p{i}": {f"maxretrie{j}": 1 for j in range(90)} for i in range(200)}}),
        policies({"circuitBreakers": {f"p{i}": {"trip": "1+" * 400 + "1 > requests"} for i in range(900)}}),
        policies({"timeouts": {f"p{i}" + "x" * 90: "soon" for i in range(999)}}),
        policies({"timeouts": {"p" * 14_000_000: "5s"}}),
    ]
    with served_meanwhile(webhooks):
        for body in hostile:
            assert at_once(effort.times(3, 20), partial(webhooks.send, "resiliencies", body)) <= {200, 400, 413, 503}


def configuration(spec: Any) -> bytes:
    """The review of a Configuration."""
    head = {"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": {"name": "shop"}}
    return creation({**head, "spec": spec})


def patterns(count: int, pattern: str) -> bytes:
    """The review of a Configuration with rules for labels."""
    regex = {f"r{i}": f"{pattern}{i}" for i in range(count)}
    return configuration({"metrics": {"rules": [{"name": "m", "labels": [{"name": "path", "regex": regex}]}]}})


def test_configurations_with_thousands_of_mistakes_or_patterns_block_nobody(webhooks: Webhooks, effort: Any) -> None:
    rule = {"version": "1", "protocol": "htp"}
    hostile = [
        configuration({"api": {"denied": [{**rule, "name": f"stte{i}"} for i in range(999)]}}),
        patterns(10_000, "(a"),
        patterns(8, "[\0-\U0010fffe]" * 2000),
        patterns(1, "(a|b)?" * 30_000),
        patterns(18, "(a|b)?" * 180),
        configuration({"components": {"deny": ["x" * 14_000_000]}}),
    ]
    with served_meanwhile(webhooks):
        for body in hostile:
            assert at_once(effort.times(3, 20), partial(webhooks.send, "configurations", body)) <= {200, 400, 413, 503}


WRONG: list[Any] = [
    [],
    "x",
    {"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": {}},
    {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"},
    {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {}},
]


def test_what_is_no_review_is_refused_and_no_shape_makes_it_fail(webhooks: Webhooks) -> None:
    parsed = json.loads(review())
    for path in ("pods", "components", "workloads"):
        for wrong in WRONG:
            assert webhooks.send(path, json.dumps(wrong).encode()) == 400
        for part, right in parsed["request"].items():
            for value in (7, [1], "x" if isinstance(right, dict) else {"a": 1}):
                changed = {**parsed, "request": {**parsed["request"], part: value}}
                assert webhooks.send(path, json.dumps(changed).encode()) in (200, 400), (path, part, value)
    assert webhooks.send("nobody", b"{}") == 404
