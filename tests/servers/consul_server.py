"""Real Consul servers, each a cluster of one; with access rules and TLS."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from servers import go_programs
from servers.database import Database, ProxySetup, Server, as_address, last_port
from servers.processes import ServerProcess, free_port

LARGEST_VALUE = 512 * 1024


class ConsulServer(ServerProcess):
    """A Consul that keeps its data in its folder. `configuration` is added to what it needs to run alone."""

    def __init__(self, folder: Path, configuration: Mapping[str, Any] | None = None, token: str = ""):
        self._token = token
        folder.mkdir(parents=True, exist_ok=True)
        everything: dict[str, Any] = {
            "server": True,
            "bootstrap_expect": 1,
            "data_dir": str(folder / "data"),
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "ports": ports(),
            "disable_host_node_id": True,
            "disable_update_check": True,
            # Alone it need not wait for others before it counts itself the leader.
            "performance": {"raft_multiplier": 1},
            **(configuration or {}),
        }
        (folder / "consul.json").write_text(json.dumps(everything))
        super().__init__(folder, everything["ports"]["http"])

    def command(self) -> list[str | Path]:
        return [go_programs.consul(), "agent", f"-config-file={self.folder / 'consul.json'}"]

    def answers(self) -> object:
        """Return whether it has a leader and keeps what is written."""
        try:
            return self.ask("PUT", "/v1/kv/answers").startswith(b"true")
        except HTTPError:
            return False

    @property
    def version(self) -> str:
        described: dict[str, Any] = json.loads(self.ask("GET", "/v1/agent/self"))
        return str(described["Config"]["Version"])

    def ask(self, method: str, path: str, body: bytes | None = None, token: str | None = None) -> bytes:
        headers = {"X-Consul-Token": self._token if token is None else token}
        with urlopen(Request(f"http://{self.address}{path}", body, headers, method=method), timeout=20) as answer:
            content: bytes = answer.read()
            return content

    def entry(self, name: str) -> dict[str, Any] | None:
        """Return Consul's value under a name of printable text."""
        try:
            [entry] = json.loads(self.ask("GET", f"/v1/kv/{quote(name)}"))
        except HTTPError as error:
            assert error.code == 404, error.read()
            return None
        return dict(entry)

    def stored(self, key: str) -> bytes | None:
        entry = self.entry(f"dapr/{key}")
        return None if entry is None else base64.b64decode(entry["Value"] or "")


def ports() -> dict[str, int]:
    """Return its addresses, for a configuration with more settings."""
    used = {name: free_port() for name in ("http", "server", "serf_lan")}
    return {**used, "dns": -1, "grpc": -1, "serf_wan": -1}


def single(folder: Path, configuration: Mapping[str, Any] | None = None, token: str = "") -> ConsulServer:
    """Run a server. `token` is the token that `ask` sends."""
    return ConsulServer(folder, configuration, token)


@contextmanager
def _serve(folder: Path) -> Iterator[Server]:
    with single(folder) as server:
        yield Server({"httpAddr": server.address, "timeout": "30s"}, f"Consul {server.version}", server.stored)


DATABASES = (
    Database(
        "consul",
        "HashiCorp Consul",
        "state.hashicorp.consul",
        _serve,
        prepare=go_programs.consul,
        remarks={"transactions": "of up to 64 operations"},
        largest_value=LARGEST_VALUE,
        largest_transaction=64,
        increments=200,
        many=600,
        model_runs=10,
        proxy_setup=ProxySetup(
            as_address("httpAddr"), last_port("httpAddr"), impatient={"timeout": "300ms"}, max_connections=32
        ),
    ),
)
