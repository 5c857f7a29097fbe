"""An idle sidecar with one Redis store takes no more memory than promised, and modules that it loads later work."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.component_files import component
from servers.delivered_folder import deliver
from servers.pannier_process import Pannier, serving
from servers.redis_server import RedisServer, encrypted, make_certificates
from servers.usage import private_mib, resident_mib

PRIVATE_MIB, RESIDENT_MIB = 13.5, 24.0
"""The promised maximum in a pod (docs/decisions/0026)."""
OF_YAML_MIB = 0.8
"""What reading YAML takes, which only users write."""
RESERVE = 1.05
"""Another Python or C library may need somewhat more."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder)
    yield server
    server.stop()


@pytest.fixture
def components(tmp_path: Path) -> Path:
    folder = tmp_path / "components"
    folder.mkdir()
    return folder


def saves_and_reads(pannier: Pannier, store: str) -> None:
    pannier.until(lambda: pannier.call(f"/v1.0/state/{store}", "POST", '[{"key": "k", "value": 1}]')[0] == 201, store)
    assert pannier.call(f"/v1.0/state/{store}/k") == (200, "1")


@pytest.mark.parametrize("is_delivered", [True, False])
def test_an_idle_sidecar_holds_no_more_than_promised(components: Path, server: RedisServer, is_delivered: bool) -> None:
    if is_delivered:
        deliver(components, "orders", "state.redis", server.settings)
    else:
        (components / "orders.yaml").write_text(component("orders", "state.redis", server.settings))
    more = 0.0 if is_delivered else OF_YAML_MIB
    with serving(components) as pannier:  # the first start compiles what has changed
        saves_and_reads(pannier, "orders")
    with serving(components) as pannier:
        saves_and_reads(pannier, "orders")
        pid = pannier.process.pid
        assert private_mib(pid) <= (PRIVATE_MIB + more) * RESERVE
        assert resident_mib(pid) <= (RESIDENT_MIB + more) * RESERVE


class Plain(socketserver.BaseRequestHandler):
    """Answers any request without TLS."""

    def handle(self) -> None:
        self.request.recv(1024)
        self.request.sendall(b"-ERR unknown command\r\n")


@pytest.fixture
def plain_address() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Plain) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()


def why(pannier: Pannier, store: str) -> str:
    """Return why a store is not ready."""
    stores = json.loads(pannier.call("/v1.0/healthz?verbose")[1])["stores"]
    return str(stores.get(store, {}).get("why", ""))


def test_tls_that_is_first_asked_for_while_the_sidecar_runs(
    components: Path, server: RedisServer, plain_address: str, tmp_path: Path
) -> None:
    """`ssl` is loaded for it, and uvloop knows the errors that it raises."""
    certificates = make_certificates(tmp_path)
    (components / "orders.yaml").write_text(component("orders", "state.redis", server.settings))
    folder = tmp_path / "encrypted"
    folder.mkdir()
    with encrypted(folder, certificates) as speaks_tls, serving(components) as pannier:
        saves_and_reads(pannier, "orders")

        def write(address: str, **more: str) -> None:
            settings = {"redisHost": address, "enableTLS": "true", "dialTimeout": "2s", **more}
            (components / "secure.yaml").write_text(component("secure", "state.redis", settings))

        write(plain_address)
        pannier.until(
            lambda: "does not speak TLS on this port" in why(pannier, "secure"), "the refusal of a plain port"
        )
        write(speaks_tls.address)
        pannier.until(
            lambda: "authority that signed its certificate" in why(pannier, "secure"), "a refused certificate"
        )
        write(speaks_tls.address, caCert=certificates.text("ca.crt"))
        pannier.until(lambda: why(pannier, "secure") == "", "the store")
        saves_and_reads(pannier, "secure")
        large = json.dumps("x" * 1_000_000)
        assert pannier.call("/v1.0/state/secure", "POST", f'[{{"key": "large", "value": {large}}}]')[0] == 201
        assert pannier.call("/v1.0/state/secure/large") == (200, large)
        with speaks_tls.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        saves_and_reads(pannier, "secure")
        saves_and_reads(pannier, "orders")
