"""A sidecar on a laptop, and requests as a browser sends them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from servers.component_files import component
from servers.pannier_process import Pannier
from servers.processes import free_port


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(port: int, method: str, target: str, body: bytes | None = None, **headers: str) -> Reply:
    """Send one request; `Content_Type` and the like are headers. Without `Host`, the host is the address."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, target, body, named)
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@dataclass(frozen=True)
class Laptop:
    """The ports of a sidecar."""

    pannier: Pannier
    api: int
    public: int
    metrics: int

    @property
    def http_ports(self) -> tuple[int, int, int]:
        return self.api, self.public, self.metrics


def started(folder: Path, *flags: str) -> Laptop:
    folder.mkdir()
    (folder / "statestore.yaml").write_text(component("statestore", "state.in-memory", {}))
    public, metrics = free_port(), free_port()
    ports = ("--http-port", "0", "--grpc-port", "0", "--public-port", str(public), "--metrics-port", str(metrics))
    local = ("--public-listen-address", "127.0.0.1", "--metrics-listen-address", "127.0.0.1")
    pannier = Pannier("serve", "--app-id", "shop", "--components", folder, *ports, *local, *flags)
    return Laptop(pannier, pannier.port(), public, metrics)


@pytest.fixture(scope="session")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A sidecar with its defaults."""
    here = started(tmp_path_factory.mktemp("laptop") / "components")
    yield here
    here.pannier.close()
    assert "Traceback" not in here.pannier.err


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A sidecar that allows the pages of an app, and another host name."""
    flags = ("--allowed-origins", "http://localhost:5173,https://*.example.com", "--allowed-hosts", "state.example.com")
    here = started(tmp_path_factory.mktemp("opened") / "components", *flags)
    yield here
    here.pannier.close()
    assert "Traceback" not in here.pannier.err
