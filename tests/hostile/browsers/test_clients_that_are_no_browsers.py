"""Clients other than browsers call a sidecar, by loopback addresses or otherwise, and must not be refused."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from hostile.browsers.conftest import Laptop, ask
from servers.component_files import component
from servers.pannier_process import Pannier
from servers.processes import free_port


def raw(sock: socket.socket, request: bytes) -> bytes:
    with sock:
        sock.settimeout(30)
        sock.sendall(request)
        return sock.recv(65536)


def test_http_1_0_without_a_host(laptop: Laptop) -> None:
    for port in laptop.http_ports:
        answer = raw(socket.create_connection(("127.0.0.1", port)), b"GET /v1.0/healthz HTTP/1.0\r\n\r\n")
        assert answer.startswith((b"HTTP/1.1 204 ", b"HTTP/1.1 200 "))


@pytest.mark.parametrize("host", ["localhost", "whatever.example", ""])
def test_unix_sockets_take_any_host(tmp_path: Path, host: str) -> None:
    folder = tmp_path / "components"
    folder.mkdir()
    (folder / "statestore.yaml").write_text(component("statestore", "state.in-memory", {}))
    flags = ("--unix-domain-socket", tmp_path / "s", "--enable-metrics=false")
    pannier = Pannier("serve", "--app-id", "shop", "--components", folder, *flags)
    try:
        pannier.until_says("serving app shop")
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(tmp_path / "s" / "dapr-shop-http.socket"))
        request = f"GET /v1.0/state/statestore/k HTTP/1.1\r\nHost: {host}\r\nOrigin: http://a.example\r\n\r\n"
        assert raw(sock, request.encode()).startswith(b"HTTP/1.1 204 ")
    finally:
        pannier.close()


@pytest.mark.parametrize(
    "host", ["10.244.1.7:{port}", "[fd00::7]:{port}", "sidecar:{port}", "a.shop.svc.cluster.local"]
)
def test_a_port_that_is_open_to_others_is_called_by_addresses_and_private_names(tmp_path: Path, host: str) -> None:
    folder = tmp_path / "components"
    folder.mkdir()
    (folder / "statestore.yaml").write_text(component("statestore", "state.in-memory", {}))
    public, metrics = free_port(), free_port()
    flags = ("--http-port", "0", "--grpc-port", "0", "--public-port", public, "--metrics-port", metrics)
    open_to_all = ("--listen-addresses", "0.0.0.0", "--metrics-listen-address", "0.0.0.0")
    pannier = Pannier("serve", "--app-id", "shop", "--components", folder, *flags, *open_to_all)
    try:
        pannier.until_says("serving app shop")
        for port, target in ((public, "/v1.0/healthz"), (metrics, "/metrics")):
            assert ask(port, "GET", target, Host=host.format(port=port)).status in (200, 204)
            assert ask(port, "GET", target, Host=f"evil.example:{port}").status == 403
    finally:
        pannier.close()


def test_the_names_and_addresses_of_a_pod_are_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "components"
    folder.mkdir()
    (folder / "statestore.yaml").write_text(component("statestore", "state.in-memory", {}))
    flags = (
        "--http-port",
        "0",
        "--grpc-port",
        "0",
        "--enable-metrics=false",
        "--listen-addresses",
        "127.0.0.1",
    )
    environment = {"HOSTNAME": "orders-7d4f", "POD_IP": "10.1.2.3"}
    pannier = Pannier("serve", "--app-id", "shop", "--components", folder, *flags, environment=environment)
    try:
        port = pannier.port()
        for host, status in (("orders-7d4f", 204), ("10.1.2.3", 204), ("10.1.2.4", 403)):
            answer = ask(port, "GET", "/v1.0/healthz", Host=host)
            assert answer.status == status, json.dumps(host)
    finally:
        pannier.close()
