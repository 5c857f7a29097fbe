"""MongoDB for tests: mongoeco, another program with its protocol. The client is MongoDB's own."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pymongo
from pymongo.errors import PyMongoError
from servers.database import Database, ProxySetup, Server, as_address, last_port
from servers.newer_python import environment
from servers.processes import ServerProcess

HERE = Path(__file__).parent / "mongoeco"
REQUIREMENTS = HERE / "requirements.txt"
VERSION = next(
    line.partition("==")[2] for line in REQUIREMENTS.read_text().splitlines() if line.startswith("mongoeco==")
)
PATIENCE_S = 30
"""mongoeco takes some milliseconds for each call, and does one after the other."""

SOCKETS_LEFT = (
    "ignore:unclosed <socket:ResourceWarning",
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning",
)
"""If connecting is given up, the driver leaves the socket to the garbage collector."""


def python() -> Path:
    return environment(f"mongoeco-{VERSION}", REQUIREMENTS)


class MongoServer(ServerProcess):
    """mongoeco as a process."""

    not_yet = (PyMongoError,)

    def __init__(self, folder: Path, *flags: str | Path):
        self._flags = flags
        super().__init__(folder)

    def end(self) -> None:
        self.kill()

    def command(self) -> Sequence[str | Path]:
        return [python(), HERE / "serve.py", str(self.port), *self._flags]

    def answers(self) -> object:
        with self.client() as client:
            return client.admin.command("hello")

    def client(self, **options: Any) -> pymongo.MongoClient[dict[str, Any]]:
        """Return a separate client for the tests."""
        options = {"directConnection": True, "serverSelectionTimeoutMS": 5000, **options}
        return pymongo.MongoClient(self.address, **options)

    @property
    def settings(self) -> dict[str, str | int]:
        return {"host": self.address, "operationTimeout": PATIENCE_S}


def running(folder: Path, *flags: str | Path) -> MongoServer:
    return MongoServer(folder, *flags)


@contextmanager
def _serve(folder: Path) -> Iterator[Server]:
    with running(folder) as server, server.client() as client:
        stored = partial(_stored, client["daprStore"]["daprCollection"])
        yield Server(server.settings, f"mongoeco {VERSION}", stored)
        gc.collect()


def _stored(collection: Any, key: str) -> bytes | None:
    found = collection.find_one({"_id": key})
    return None if found is None else _bytes(found["value"])


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


DATABASES = (
    Database(
        "mongodb",
        "MongoDB",
        "state.mongodb",
        _serve,
        made_by="emulator",
        prepare=lambda: None if python() else None,
        remarks={"transactions": "tried one at a time"},
        has_numbers_for_etags=False,
        transactions_may_race=False,
        passed_over=SOCKETS_LEFT,
        increments=100,
        many=300,
        model_runs=10,
        proxy_setup=ProxySetup(
            as_address("host", params="?directConnection=true", operationTimeout="3s"),
            last_port("host"),
            commit={"transaction": (b"commitTransaction", 0)},
            repeats=frozenset({"transaction"}),
            impatient={"operationTimeout": "300ms", "params": "?directConnection=true&maxPoolSize=20"},
            max_connections=20 + 3,  # the client has a few more that watch the server
        ),
    ),
)
