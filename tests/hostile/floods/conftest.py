"""A sidecar, a client that behaves well, and what the sidecar used while another client flooded it."""

from __future__ import annotations

import json
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import pytest
from servers.component_files import component
from servers.pannier_process import Pannier
from servers.processes import free_port
from servers.usage import cpu_seconds, forget_peak, peak_mib, resident_mib

PATIENCE_S = 60.0
WORK_S = 0.6
"""How long the sidecar may work on others' requests while one call waits. Before it was bounded, that was 5 to 54
seconds.
"""
STOPPED_S = 10.0
"""The maximum duration of a call even on a busy machine, where the sidecar itself waits for the processor."""
SAVE = "/v1.0/state/statestore"


@contextmanager
def many_files() -> Iterator[None]:
    """Allow as many open files as the system permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@dataclass
class Used:
    """The cost of a flood."""

    before_mib: float
    peak_mib: float = 0.0
    cpu_s: float = 0.0
    waits: list[float] = field(default_factory=list)
    """Seconds of each call of the client that behaves well."""
    work: list[float] = field(default_factory=list)
    """Seconds of processor time that the sidecar spent during each of them: the same on an idle and a busy machine."""

    @property
    def grown_mib(self) -> float:
        return self.peak_mib - self.before_mib

    @property
    def others_are_served(self) -> bool:
        work = sorted(self.work)
        return work[-1] < WORK_S and work[len(work) // 2] < WORK_S / 3 and max(self.waits) < STOPPED_S

    def __str__(self) -> str:
        return (
            f"{self.before_mib:.0f} -> {self.peak_mib:.0f} MiB, {self.cpu_s:.1f} s of CPU; while another client's call "
            f"waited, at most {max(self.work):.2f} s of it"
        )


@dataclass
class Target:
    """A sidecar with a store in memory."""

    pannier: Pannier
    http: int
    grpc: int
    metrics: int

    @property
    def pid(self) -> int:
        return self.pannier.process.pid

    def connect(self, port: int | None = None, *, receive_buffer: int | None = None) -> socket.socket:
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(PATIENCE_S)
        sock.connect(("127.0.0.1", port or self.http))
        return sock

    def save(self, key: str, value: object) -> None:
        with Http(self.connect()) as client:
            assert client.call("POST", SAVE, json.dumps([{"key": key, "value": value}]).encode())[0] == 201

    @contextmanager
    def flooded(self) -> Iterator[Used]:
        """Measure what the sidecar uses, and how another client fares, until the block ends."""
        self.save("well", "behaved")
        used = Used(resident_mib(self.pid))
        forget_peak(self.pid)
        began = cpu_seconds(self.pid)
        with _WellBehaved(self, used):
            yield used
            time.sleep(0.1)
        used.cpu_s = cpu_seconds(self.pid) - began
        used.peak_mib = peak_mib(self.pid)
        assert self.pannier.process.poll() is None, self.pannier.err


class Http:
    """A connection that speaks HTTP, one call after another."""

    def __init__(self, sock: socket.socket):
        self.sock = sock
        self._file = sock.makefile("rb")

    def __enter__(self) -> Http:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self.sock.close()

    def call(self, method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
        self.sock.sendall(request(method, target, body))
        return self.answer()

    def answer(self) -> tuple[int, bytes]:
        status = int(self._file.readline().split()[1])
        length = 0
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return status, self._file.read(length)


def request(method: str, target: str, body: bytes = b"", *, length: int | None = None) -> bytes:
    """A request; the announced body may be longer than the bytes that are sent."""
    size = len(body) if length is None else length
    return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode() + body


class _WellBehaved:
    """Reads a small value now and then, and records how long that took."""

    def __init__(self, target: Target, used: Used):
        self._target = target
        self._used = used
        self._is_over = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._read_on)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._is_over.set()
        self._thread.join()
        if self._fault is not None and error is None:
            raise self._fault

    def _read_on(self) -> None:
        try:
            with Http(self._target.connect()) as client:
                while not self._is_over.wait(0.01) or not self._used.waits:
                    began, worked = time.perf_counter(), cpu_seconds(self._target.pid)
                    assert client.call("GET", SAVE + "/well") == (200, b'"behaved"')
                    self._used.waits.append(time.perf_counter() - began)
                    self._used.work.append(cpu_seconds(self._target.pid) - worked)
        except BaseException as fault:
            self._fault = fault


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    folder = tmp_path / "components"
    folder.mkdir()
    (folder / "statestore.yaml").write_text(component("statestore", "state.in-memory", {"actorStateStore": "true"}))
    metrics = free_port()
    pannier = Pannier(
        "serve", "--app-id", "app", "--components", str(folder), "--http-port", "0", "--grpc-port", "0",
        "--metrics-port", str(metrics), "--metrics-listen-address", "127.0.0.1",
    )  # fmt: skip
    try:
        yield Target(pannier, pannier.port(), pannier.grpc_port(), metrics)
    finally:
        pannier.close()
