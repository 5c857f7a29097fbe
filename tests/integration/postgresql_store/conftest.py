"""A PostgreSQL, and stores over it that have to leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest
import uvloop
from servers.postgresql_server import PostgreSQLServer, running

from pannier_sidecar.state.store import Store
from pannier_sidecar.stores import registry

OpenStore = Callable[..., Awaitable[Store]]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQLServer]:
    with running(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture
def server(shared: PostgreSQLServer) -> PostgreSQLServer:
    """A running server without any table of ours, whatever the test before did to it."""
    shared.resume()
    shared.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO public;")
    return shared


@pytest.fixture
async def open_store(server: PostgreSQLServer) -> AsyncIterator[OpenStore]:
    """Open stores on the server; afterwards no task may be left and no exception unseen."""
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    before = asyncio.all_tasks()
    stores: list[Store] = []

    async def open_one(version: str = "v2", **settings: Any) -> Store:
        store = registry.load("state.postgresql", version)({**server.settings, **settings})
        stores.append(store)
        await store.open()
        return store

    yield open_one
    for store in stores:
        await store.close()
        await store.close()
    await asyncio.sleep(0)
    gc.collect()
    assert not complaints, complaints
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, left
