"""A fake of SQL Server, and stores over it that must leave nothing behind."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from itertools import count

import pytest
import uvloop
from servers.opened_store import OpenStore, opening
from servers.sqlserver_server import SQLServer

_NAMES = count(1)


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SQLServer]:
    with SQLServer(tmp_path_factory.mktemp("sqlserver")) as server:
        yield server


@pytest.fixture
def server(shared: SQLServer) -> SQLServer:
    """A running server, whatever the previous test did to it."""
    shared.resume()
    return shared


@pytest.fixture
def database() -> str:
    """The name of a database that no other test uses."""
    return f"test{next(_NAMES)}"


@pytest.fixture(params=["v1", "v2"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def open_store(server: SQLServer, database: str) -> AsyncIterator[OpenStore]:
    """Open stores over that database, by default in version v1."""
    async with opening("state.sqlserver", {**server.settings, "databaseName": database}) as open_one:
        yield lambda version="v1", **more: open_one(version, **more)
