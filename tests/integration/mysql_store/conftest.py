"""A MariaDB, and stores over it that must leave nothing behind."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import pytest
import uvloop
from servers.mysql_server import SCHEMA, MySQLServer, running
from servers.opened_store import OpenStore, opening


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MySQLServer]:
    with running(tmp_path_factory.mktemp("mysql")) as server:
        yield server


@pytest.fixture
def server(shared: MySQLServer) -> MySQLServer:
    """A running server without any table of ours, whatever the previous test did to it."""
    shared.resume()
    shared.sql(f"DROP DATABASE IF EXISTS {SCHEMA}")
    return shared


@pytest.fixture
async def open_store(server: MySQLServer) -> AsyncIterator[OpenStore]:
    async with opening("state.mysql", server.settings) as open_one:
        yield lambda **more: open_one("v1", **more)
