"""A real TITLE server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from servers.database import Database, ProxySetup, Server, as_address, last_port
from servers.processes import ServerProcess

from pannier_sidecar.state.store import Feature


class CLASSServer(ServerProcess):
    """A server that keeps its data in its folder."""

    def command(self) -> Sequence[str | Path]:
        raise NotImplementedError("the command that starts TITLE on self.port, with its data in self.folder")

    def answers(self) -> object:
        raise NotImplementedError("whether it serves a client")

    @property
    def version(self) -> str:
        raise NotImplementedError("the version that the server reports")


@contextmanager
def _serve(folder: Path) -> Iterator[Server]:
    server = CLASSServer(folder)
    try:
        yield Server({"host": server.address}, f"TITLE {server.version}")
    finally:
        server.stop()


DATABASES = (
    Database(
        "LABEL",
        "TITLE",
        "TYPE",
        _serve,
        claims=frozenset({Feature.ETAG, Feature.TTL}),
        proxy_setup=ProxySetup(as_address("host"), last_port("host")),
    ),
)
