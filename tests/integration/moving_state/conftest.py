"""A desk to type commands at, and places in real databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import memcached_server
from servers.places import Desk, Place
from servers.postgresql_server import PostgreSQLServer, running
from servers.redis_server import RedisServer, single


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(scope="session")
def running_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with single(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(running_redis: RedisServer) -> Iterator[RedisServer]:
    """A server without data, whatever the previous test did to it."""
    with running_redis.client() as client:
        client.client_unpause()
        client.flushall()
    yield running_redis


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    return Place(tmp_path / "sqlite.yaml", "state.sqlite", {"connectionString": str(tmp_path / "state.db")})


@pytest.fixture
def redis_place(tmp_path: Path, redis: RedisServer) -> Place:
    return Place(tmp_path / "redis.yaml", "state.redis", redis.settings)


@pytest.fixture
def memcached_place(tmp_path: Path) -> Iterator[Place]:
    memcached_server.prepare()
    with memcached_server.single(tmp_path / "memcached") as server:
        yield Place(tmp_path / "memcached.yaml", "state.memcached", {"hosts": server.address})


@pytest.fixture(scope="session")
def running_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQLServer]:
    with running(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture
def postgresql_place(tmp_path: Path, running_postgresql: PostgreSQLServer) -> Place:
    """A server without data."""
    running_postgresql.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return Place(tmp_path / "postgresql.yaml", "state.postgresql", dict(running_postgresql.settings))


ROUTES = ("sqlite to redis", "redis to sqlite", "sqlite to sqlite")
TO_BULKS = (*ROUTES, "sqlite to postgresql")
"""With a target that carries out many conditional writes as one."""


@pytest.fixture(params=ROUTES)
def route(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_place: Place, redis_place: Place
) -> tuple[Place, Place]:
    """The source and the target."""
    another = {"connectionString": str(tmp_path / "another.db")}
    routes: dict[str, Callable[[], tuple[Place, Place]]] = {
        "sqlite to redis": lambda: (sqlite_place, redis_place),
        "redis to sqlite": lambda: (redis_place, sqlite_place),
        "sqlite to sqlite": lambda: (sqlite_place, Place(tmp_path / "another.yaml", "state.sqlite", another)),
        "sqlite to postgresql": lambda: (sqlite_place, request.getfixturevalue("postgresql_place")),
    }
    return routes[request.param]()
