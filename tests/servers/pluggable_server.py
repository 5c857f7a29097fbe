"""The pluggable component of examples/pluggable, as a process of its own on a Unix socket."""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path

from servers.database import Database, Server
from servers.processes import ServerProcess

from pannier_crds.pluggable import SOCKETS_FOLDER_VARIABLE
from pannier_sidecar.state.store import Feature
from pannier_sidecar.stores.pluggable.settings import chosen

PROGRAM = Path(__file__).parents[2] / "examples/pluggable/ledger.py"
TYPE = "state.ledger"


class Ledger(ServerProcess):
    """It listens in `sockets`, by default a folder of its own, and keeps its entries in a file."""

    def __init__(self, folder: Path, sockets: Path | None = None):
        self.sockets = sockets or folder / "sockets"
        super().__init__(folder)

    def command(self) -> Sequence[str | Path]:
        return [sys.executable, PROGRAM]

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, SOCKETS_FOLDER_VARIABLE: str(self.sockets)}

    def answers(self) -> object:
        with closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.connect(str(self.sockets / "ledger.sock"))
            return True

    @property
    def file(self) -> Path:
        return self.folder / "ledger.db"

    def stored(self, key: str) -> bytes | None:
        """Return the value in the file, if it has not expired."""
        with closing(sqlite3.connect(self.file)) as database:
            row = database.execute("SELECT value FROM entries WHERE key = ?", (key.encode(),)).fetchone()
        return row[0] if row else None


@contextmanager
def _serve(folder: Path) -> Iterator[Server]:
    with Ledger(folder) as ledger:
        yield Server(
            {"file": str(ledger.file)},
            f"examples/pluggable on grpcio {version('grpcio')}",
            ledger.stored,
            chosen(TYPE, "statestore", ledger.sockets, timeout=30.0),
            {SOCKETS_FOLDER_VARIABLE: str(ledger.sockets)},
        )


DATABASES = (
    Database(
        "pluggable",
        "A pluggable component",
        TYPE,
        _serve,
        claims=frozenset({Feature.ETAG, Feature.TRANSACTIONAL, Feature.TTL}),
        has_numbers_for_etags=False,
        largest_transaction=1000,
        increments=300,
        many=500,
        model_runs=10,
    ),
)
