"""Real etcd servers on free ports of the loopback interface: from Debian's package, and a later one."""

from __future__ import annotations

import json
import socket
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from cluster.tools import debian_package
from servers import go_programs
from servers.database import Database, ProxySetup, Server, Settings, as_address, last_port
from servers.processes import ServerProcess, free_port


@cache
def program() -> Path:
    return debian_package("etcd-server", "etcd")


class EtcdServer(ServerProcess):
    """One member, alone or of a cluster whose other members are given."""

    not_yet = (URLError,)
    scheme = "http"

    def __init__(self, folder: Path, *options: str, is_new: bool = False):
        """`options` are etcd's flags. `is_new`: a later etcd than Debian's."""
        self._options = options
        self._is_new = is_new
        self._peers = f"http://127.0.0.1:{free_port()}"
        super().__init__(folder)

    def command(self) -> Sequence[str | Path]:
        client = f"{self.scheme}://{self.address}"
        flags = {
            "data-dir": "data",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": self._peers,
            "initial-advertise-peer-urls": self._peers,
            "initial-cluster": f"default={self._peers}",
        }
        etcd = go_programs.etcd() if self._is_new else program()
        return [etcd, "--unsafe-no-fsync", *(f"--{name}={value}" for name, value in flags.items()), *self._options]

    def answers(self) -> object:
        return self.call("maintenance/status", {})

    @property
    def settings(self) -> Settings:
        return {"endpoints": self.address}

    @property
    def version(self) -> str:
        return str(self.call("maintenance/status", {})["version"])

    def metrics(self) -> str:
        """Return what it measures, as Prometheus reads it."""
        with urlopen(f"http://{self.address}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def call(self, path: str, body: dict[str, Any], token: str = "") -> dict[str, Any]:
        """Ask its HTTP gateway, without a gRPC client."""
        headers = {"Authorization": token} if token else {}
        request = Request(f"http://{self.address}/v3/{path}", json.dumps(body).encode(), headers)
        with urlopen(request, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


def in_base64(data: bytes) -> str:
    return b64encode(data).decode()


class _Encrypted(EtcdServer):
    """It speaks TLS, so it counts as ready when it listens."""

    scheme = "https"

    def answers(self) -> object:
        with socket.create_connection(("127.0.0.1", self.port), 10):
            return True


def encrypted(folder: Path, *options: str) -> EtcdServer:
    """Run a server that speaks TLS with clients; `options` name its certificates."""
    return _Encrypted(folder, *options)


def running(folder: Path, *options: str, is_new: bool = False) -> EtcdServer:
    return EtcdServer(folder, *options, is_new=is_new)


@contextmanager
def cluster(folder: Path, *, is_new: bool) -> Iterator[Sequence[EtcdServer]]:
    """Run a cluster of three members."""
    peers = {f"member{number}": f"http://127.0.0.1:{free_port()}" for number in range(3)}
    everyone = ",".join(f"{name}={peer}" for name, peer in peers.items())
    with ThreadPoolExecutor(len(peers)) as pool, ExitStack() as stack:  # each waits for the others when it starts
        starting = []
        for name, peer in peers.items():
            own = (f"--name={name}", f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}")
            options = (*own, f"--initial-cluster={everyone}")
            starting.append(pool.submit(EtcdServer, folder / name, *options, is_new=is_new))
        yield [stack.enter_context(each.result()) for each in starting]


def _serving(
    value_of: Callable[[bytes], bytes], *, is_new: bool = False
) -> Callable[[Path], AbstractContextManager[Server]]:
    """`value_of` finds the value in the stored bytes."""

    @contextmanager
    def serve(folder: Path) -> Iterator[Server]:
        with running(folder, is_new=is_new) as server:
            yield Server(server.settings, f"etcd {server.version}", partial(_value, server, value_of))

    return serve


def _value(server: EtcdServer, value_of: Callable[[bytes], bytes], key: str) -> bytes | None:
    found = stored(server, key)
    return None if found is None else value_of(found)


def stored(server: EtcdServer, key: str) -> bytes | None:
    """Return the bytes under a stored key."""
    kvs = server.call("kv/range", {"key": in_base64(b"/" + key.encode())}).get("kvs")
    return b64decode(kvs[0].get("value", "")) if kvs else None


def _first_field(message: bytes) -> bytes:
    """Return the bytes of field 1, of which there are fewer than 128."""
    assert message[:1] == b"\x0a"
    return message[2 : 2 + message[1]]


_SHARED: dict[str, Any] = {
    "store_type": "state.etcd",
    "largest_value": 1_500_000,
    "increments": 500,
    "model_runs": 10,
}

_PROXY_SETUP = ProxySetup(
    as_address("endpoints"), last_port("endpoints"), impatient={"timeout": "300ms"}, max_connections=2
)
DATABASES = (
    Database("etcd", "etcd", serve=_serving(bytes), prepare=program, proxy_setup=_PROXY_SETUP, **_SHARED),
    Database(
        "etcd-v2",
        "etcd",
        serve=_serving(_first_field, is_new=True),
        prepare=go_programs.etcd,
        store_version="v2",
        **_SHARED,
    ),
)
