"""Databases that need no server: memory and SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

from servers.database import Database, Server


@contextmanager
def _this_process(folder: Path) -> Iterator[Server]:
    yield Server({}, f"Pannier {version('pannier-sidecar')}")


def _sqlite(connection_string: str, **settings: bool) -> Callable[[Path], AbstractContextManager[Server]]:
    @contextmanager
    def serve(folder: Path) -> Iterator[Server]:
        where = connection_string.format(folder=folder)
        stored = partial(_stored, where.partition("?")[0])
        yield Server({"connectionString": where, **settings}, f"SQLite {sqlite3.sqlite_version}", stored)

    return serve


def _stored(file: str, key: str) -> bytes | None:
    with closing(sqlite3.connect(file)) as connection:
        row = connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
    return row[0].encode() if row else None


DATABASES = (
    Database(
        "in-memory",
        "Memory of the sidecar",
        "state.in-memory",
        _this_process,
        is_shared=False,
    ),
    Database(
        "in-memory-encrypted",
        "Memory of the sidecar, encrypted",
        "state.in-memory",
        _this_process,
        is_shared=False,
        is_a_variant=True,
        is_encrypted=True,
    ),
    Database(
        "sqlite",
        "SQLite",
        "state.sqlite",
        _sqlite("{folder}/state.db"),
        increments=3000,  # each waits for the disk
    ),
    Database(
        "sqlite-rollback-journal",
        "SQLite, rollback journal",
        "state.sqlite",
        _sqlite("{folder}/state.db?_pragma=synchronous(OFF)", disableWAL=True),
        is_a_variant=True,
        increments=3000,
    ),
    Database(
        "sqlite-in-memory",
        "SQLite, in memory",
        "state.sqlite",
        _sqlite(":memory:"),
        is_shared=False,
        is_a_variant=True,
    ),
)
