"""SQL Server for tests: a fake of ours, because SQL Server itself cannot be had; see docs/decisions/0033."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from servers.database import Database, ProxySetup, Server, Settings
from servers.processes import ServerProcess
from servers.redis_server import make_certificates
from servers.tds_fake import PASSWORD, USER

from pannier_sidecar.stores.sqlserver.connection import Connection, connect
from pannier_sidecar.stores.sqlserver.settings import read_settings

_QUOTED = PASSWORD.replace('"', '""')


def connection_string(port: int, parameters: str = "", user: str = USER) -> str:
    return f'server=127.0.0.1;port={port};user id={user};password="{_QUOTED}";{parameters}'


class SQLServer(ServerProcess):
    """The fake, as a process."""

    def __init__(self, folder: Path, port: int | None = None, **options: Any):
        """`options` are those of `tds_fake`."""
        folder.mkdir(parents=True, exist_ok=True)
        if "certificate" not in options:
            made = make_certificates(folder / "certificates")
            whole = folder / "server.pem"
            whole.write_text("".join(Path(made.path(f"server.{end}")).read_text() for end in ("crt", "key")))
            options = {**options, "certificate": str(whole)}
        self._options = options
        super().__init__(folder, port)

    def command(self) -> Sequence[str | Path]:
        options = json.dumps(self._options)
        return (sys.executable, "-m", "servers.tds_fake", str(self.port), self.folder, options)

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}

    def answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), 1):
            return True

    @property
    def authority(self) -> str:
        """PEM file of the authority that signed its certificate."""
        return str(self.folder / "certificates" / "ca.crt")

    @property
    def settings(self) -> Settings:
        """The settings of a component that reaches it as its administrator."""
        return {"connectionString": connection_string(self.port)}


@asynccontextmanager
async def connected(server: SQLServer, database: str) -> AsyncIterator[Connection]:
    """Lend a separate connection to a database, as the administrator."""
    settings = read_settings(
        {"connectionString": connection_string(server.port, f"encrypt=disable;database={database}")}
    )
    connection = await connect(settings, None, "")
    try:
        yield connection
    finally:
        await connection.close()


async def ran(server: SQLServer, database: str, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements as the administrator, and return the rows of the last one, if it is a query."""
    async with connected(server, database) as connection:
        for statement in statements[:-1]:
            await connection.run(statement)
        if not statements[-1].startswith("SELECT"):
            await connection.run(statements[-1])
            return []
        return [*await connection.fetch(statements[-1])]


@contextmanager
def _serve(folder: Path) -> Iterator[Server]:
    with SQLServer(folder) as server:
        yield Server(server.settings, "SQL Server's protocol")


def _port(settings: Mapping[str, Any]) -> int:
    return int(str(settings["connectionString"]).partition("port=")[2].partition(";")[0])


_KEY = "cut-me".encode("utf-16-le")
_SETUP = ProxySetup(
    lambda port: {"connectionString": connection_string(port, "encrypt=disable")},
    _port,
    commit={
        **dict.fromkeys(("set", "delete", "set by ETag", "delete by ETag", "create", "bulk"), (_KEY, 0)),
        "transaction": ("COMMIT".encode("utf-16-le"), 0),
    },
    encoding="utf-16-le",
)
DATABASES = tuple(
    Database(
        name,
        "SQL Server",
        "state.sqlserver",
        _serve,
        store_version=version,
        made_by="fake",
        has_numbers_for_etags=False,
        increments=150,
        many=300,
        model_runs=5,
        proxy_setup=_SETUP,
    )
    for name, version in (("sqlserver", "v1"), ("sqlserver-v2", "v2"))
)
