"""Real memcached servers: one, several that share the keys, with a password and TLS."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from zlib import crc32

from servers.database import Database, ProxySetup, Server, as_address, last_port
from servers.processes import ServerProcess

from pannier_sidecar.state.store import Feature

PATIENT = "30s"
"""The value of `timeout`: this machine may be busy."""
LARGE = ("-m", "1024", "-I", "16m")
INSTALL = Path(__file__).parents[2] / "scripts" / "debian-package"


class MemcachedServer(ServerProcess):
    """A memcached, whose data is gone when it has ended."""

    def __init__(self, folder: Path, *options: str, port: int | None = None):
        self._options = options
        super().__init__(folder, port)

    def command(self) -> list[str]:
        return ["memcached", "-p", str(self.port), "-l", "127.0.0.1", "-U", "0", "-u", "root", *self._options]

    def answers(self) -> object:
        with closing(socket.create_connection(("127.0.0.1", self.port), 10)):
            return True

    @property
    def version(self) -> str:
        return self.ask(b"version\r\n").split()[1].decode()

    def ask(self, command: bytes) -> bytes:
        """Return the first answer to a command, by the classic text protocol."""
        with closing(socket.create_connection(("127.0.0.1", self.port), 10)) as connection:
            connection.sendall(command)
            answer = connection.makefile("rb")
            line = answer.readline()
            if line.startswith(b"VALUE "):
                line += answer.read(int(line.split()[3]))
            return line

    def stored(self, key: str) -> bytes | None:
        """Return an item's value as any client of memcached's sees it."""
        line, _, value = self.ask(b"get " + key.encode() + b"\r\n").partition(b"\r\n")
        return value if line.startswith(b"VALUE ") else None


def prepare() -> None:
    subprocess.run([INSTALL, "memcached", "sh", "-c", "command -v memcached"], check=True)


def single(folder: Path, *options: str, port: int | None = None) -> MemcachedServer:
    prepare()
    return MemcachedServer(folder, *options, port=port)


def owner(servers: list[MemcachedServer], key: str) -> MemcachedServer:
    """Return the server that Dapr's client would ask."""
    return servers[crc32(key.encode()) % len(servers)]


@contextmanager
def _serve(number: int, folder: Path) -> Iterator[Server]:
    with ExitStack() as stack:
        servers = [stack.enter_context(single(folder / str(place), *LARGE)) for place in range(number)]
        settings = {"hosts": ",".join(server.address for server in servers), "timeout": PATIENT}
        version = f"memcached {servers[0].version}"
        yield Server(settings, version, lambda key: owner(servers, key).stored(key))


_CLAIMS = frozenset({Feature.ETAG, Feature.TTL})

DATABASES = (
    Database(
        "memcached",
        "Memcached",
        "state.memcached",
        partial(_serve, 1),
        claims=_CLAIMS,
        prepare=prepare,
        has_numbers_for_etags=False,
        proxy_setup=ProxySetup(as_address("hosts", timeout="5s"), last_port("hosts")),
    ),
    Database(
        "memcached-several",
        "Memcached, several servers",
        "state.memcached",
        partial(_serve, 3),
        claims=_CLAIMS,
        prepare=prepare,
        has_numbers_for_etags=False,
        is_a_variant=True,
    ),
)
