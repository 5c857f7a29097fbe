"""The stores that the suite runs on: how each is had, and what it claims."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from servers import redis_server

from pannier_sidecar.state.store import Feature

EVERYTHING = frozenset(Feature)

Settings = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True)
class Server:
    """A running server, or what stands for one."""

    settings: Settings
    """What a component would say to reach it."""
    version: str


@dataclass(frozen=True)
class Subject:
    """A store as it is tried."""

    name: str
    store_type: str
    serve: Callable[[Path], AbstractContextManager[Server]]
    """Is given a folder of its own."""
    claims: frozenset[Feature] = EVERYTHING


@contextmanager
def _this_process(folder: Path) -> Iterator[Server]:
    yield Server({}, f"Pannier {version('pannier-sidecar')}")


def _sqlite(connection_string: str, **settings: str | float | bool) -> Callable[[Path], AbstractContextManager[Server]]:
    @contextmanager
    def serve(folder: Path) -> Iterator[Server]:
        where = connection_string.format(folder=folder)
        yield Server({"connectionString": where, **settings}, f"SQLite {sqlite3.sqlite_version}")

    return serve


class _RunningRedis(Protocol):
    @property
    def settings(self) -> redis_server.Settings: ...
    @property
    def version(self) -> str: ...


def _redis(
    run: Callable[[Path], AbstractContextManager[_RunningRedis]],
) -> Callable[[Path], AbstractContextManager[Server]]:
    @contextmanager
    def serve(folder: Path) -> Iterator[Server]:
        with run(folder) as running:
            yield Server(running.settings, f"Redis {running.version}")

    return serve


SUBJECTS = (
    Subject("in-memory", "state.in-memory", _this_process),
    Subject("sqlite", "state.sqlite", _sqlite("{folder}/state.db")),
    Subject(
        "sqlite, rollback journal",
        "state.sqlite",
        _sqlite("{folder}/state.db?_pragma=synchronous(OFF)", disableWAL=True),
    ),
    Subject("sqlite, in memory", "state.sqlite", _sqlite(":memory:")),
    Subject("redis", "state.redis", _redis(redis_server.single)),
    Subject("redis, Sentinel", "state.redis", _redis(redis_server.watched_by_sentinels)),
    Subject("redis, Cluster", "state.redis", _redis(redis_server.cluster)),
)
