"""A PostgreSQL in CockroachDB's place, whose terms do not let it be installed here, and stores over it."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import pytest
import uvloop
from servers.opened_store import OpenStore, opening
from servers.postgresql_server import UNIQUE_ROWID, PostgreSQLServer, running


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQLServer]:
    with running(tmp_path_factory.mktemp("cockroachdb")) as server:
        yield server


@pytest.fixture
def server(shared: PostgreSQLServer) -> PostgreSQLServer:
    """A running server that has nothing but CockroachDB's function."""
    shared.sql(
        f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO public; {UNIQUE_ROWID}"
    )
    return shared


@pytest.fixture
async def open_store(server: PostgreSQLServer) -> AsyncIterator[OpenStore]:
    async with opening("state.cockroachdb", server.settings) as open_one:
        yield open_one
