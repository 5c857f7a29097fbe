"""While clients hold idle connections, others still connect, and stores can still be opened."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from hostile.conftest import Promise
from hostile.effort import Effort
from hostile.floods.conftest import SAVE, Http
from hostile.floods.test_http_floods import many_files
from servers.component_files import component
from servers.pannier_process import Pannier

HARD_LIMIT = 600
BEGUN = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(("port", "sent"), [("http", b""), ("http", BEGUN), ("grpc", b""), ("metrics", b"")])
def test_idle_connections_keep_nobody_out(
    port: str, sent: bytes, tmp_path: Path, promise: Promise, effort: Effort
) -> None:
    """A limit of 1,024 files is common. Once all were used, no client and no store could connect for three minutes."""
    count = effort.times(1000, 10_000)
    folder = tmp_path / "components"
    folder.mkdir()
    (folder / "statestore.yaml").write_text(component("statestore", "state.in-memory", {}))
    pannier = Pannier(
        "serve", "--app-id", "app", "--components", folder, "--http-port", 0, "--grpc-port", 0, "--metrics-port", 0,
        through=("prlimit", f"--nofile={HARD_LIMIT // 2}:{HARD_LIMIT}"),
    )  # fmt: skip
    ports = {"http": pannier.port, "grpc": pannier.grpc_port, "metrics": pannier.metrics_port}
    refused = 0
    try:
        flooded, http = ports[port](), pannier.port()
        with many_files(), ExitStack() as stack:
            for number in range(count):
                sock = stack.enter_context(socket.create_connection(("127.0.0.1", flooded), 30))
                sock.sendall(sent)
                if number % 50 == 49:
                    with Http(socket.create_connection(("127.0.0.1", http), 30)) as client:
                        refused += client.call("GET", f"{SAVE}/k")[0] != 204
            (folder / "later.yaml").write_text(
                component("later", "state.sqlite", {"connectionString": str(tmp_path / "state.db")})
            )
            pannier.until(lambda: pannier.call("/v1.0/state/later/k")[0] == 204, "a store that is opened meanwhile")
        assert "too many open files" not in pannier.err
    finally:
        pannier.close()
    assert refused == 0
    promise(
        "Idle connections do not keep out other clients or stores",
        on=f"the {port} port, with a limit of {HARD_LIMIT} open files",
        fault="connections with half a request" if sent else "connections without a request",
        times=count,
        counted=f"{count // 50} new clients meanwhile; {refused} refused",
    )
