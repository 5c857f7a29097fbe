"""Inputs that were changed at random, on every port: they cause no internal error, no hang and no traceback."""

from __future__ import annotations

import random
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from hostile.conftest import Promise
from hostile.effort import Effort
from hostile.mutations.mutating import OF_HTTP, mutated, mutated_frames
from servers.component_files import component
from servers.pannier_process import Pannier, call
from servers.processes import free_port

PATIENCE_S = 60.0
"""Timeout for an answer that takes a millisecond; the sidecar itself waits 30 s for an unfinished request."""
AT_ONCE = 4


@dataclass(frozen=True)
class Ports:
    """A sidecar and where it listens."""

    pannier: Pannier
    profile: str
    by_name: dict[str, int]


def sidecar(folder: Path, profile: str) -> Ports:
    folder.mkdir()
    text = component("statestore", "state.in-memory", {"actorStateStore": "true"})
    (folder / "statestore.yaml").write_text(text)
    public, metrics = free_port(), free_port()
    flags = ("--http-port", "0", "--grpc-port", "0", "--public-port", public, "--metrics-port", metrics)
    local = ("--public-listen-address", "127.0.0.1", "--metrics-listen-address", "127.0.0.1", "--profile", profile)
    pannier = Pannier("serve", "--app-id", "shop", "--components", folder, *flags, *local)
    names = {"API": pannier.port(), "gRPC": pannier.grpc_port(), "public": public, "metrics": metrics}
    return Ports(pannier, profile, names)


@pytest.fixture(scope="module", params=["spec", "dapr"])
def ports(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    here = sidecar(tmp_path_factory.mktemp("mutations") / "components", request.param)
    yield here
    here.pannier.process.terminate()
    assert here.pannier.end() == 0, here.pannier.err[-3000:]
    here.pannier.close()


def answers_to(port: int, raw: bytes) -> bytes:
    """Send everything, close our side, and return what arrives until the other side closes too."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
        try:
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
            while chunk := client.recv(65536):
                received += chunk
        except (ConnectionError, BrokenPipeError):
            pass  # it closed the connection, as it may; a timeout would be an error
    return received


@pytest.mark.timeout(1800)  # 150,000 connections at length
@pytest.mark.parametrize("name", ["API", "public", "metrics", "gRPC"])
def test_changed_inputs_do_no_harm(ports: Ports, effort: Effort, promise: Promise, name: str) -> None:
    port, times = ports.by_name[name], effort.times(short=2_000, long=150_000)  # in two profiles
    make: Callable[[random.Random], bytes] = (
        mutated_frames if name == "gRPC" else lambda chance: mutated(OF_HTTP, chance)
    )

    def one(seed: int) -> int:
        raw = make(random.Random(f"{ports.profile} {name} {seed}"))
        answers = answers_to(port, raw)
        assert b"defect of the sidecar" not in answers, (seed, raw)
        if name != "gRPC" and (ports.profile, name) != ("dapr", "API"):  # in which some refusals are 500, as in Dapr
            statuses = [int(status) for status in re.findall(rb"(?:^|\n)HTTP/1\.1 (\d{3}) ", answers)]
            assert all(status < 500 for status in statuses), (seed, raw, answers)
        return len(answers) > 0

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answered = sum(pool.map(one, range(times), chunksize=1))
    assert call(f"http://127.0.0.1:{ports.by_name['API']}/v1.0/healthz")[0] == 204
    assert "Traceback" not in ports.pannier.err, ports.pannier.err[-3000:]
    assert len(ports.pannier.err) < 10_000, ports.pannier.err[-3000:]
    promise(
        "Whatever a client sends, no call fails because of a bug, no call hangs, and other clients are served",
        on=f"the {name} port, profile {ports.profile}",
        fault="valid requests with bytes, numbers, fields and frames changed at random",
        times=times,
        counted=f"{times:,} inputs, {answered:,} answered; 0 failures, 0 hangs, 0 tracebacks",
    )
