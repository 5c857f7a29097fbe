"""An etcd, and stores over it that have to leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest
import uvloop
from servers.etcd_server import EtcdServer, running

from pannier_sidecar.state.store import Store
from pannier_sidecar.stores import registry

OpenStore = Callable[..., Awaitable[Store]]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    with running(tmp_path_factory.mktemp("etcd")) as server:
        yield server


@pytest.fixture
def server(shared: EtcdServer) -> EtcdServer:
    """A running server without any key, whatever the test before did to it."""
    shared.resume()
    shared.call("kv/deleterange", {"key": "AA==", "range_end": "AA=="})
    return shared


@pytest.fixture
async def open_store(server: EtcdServer) -> AsyncIterator[OpenStore]:
    """Open stores on the server; afterwards no task may be left and no exception unseen."""
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    stores: list[Store] = []

    async def open_one(version: str = "v2", **settings: Any) -> Store:
        store = registry.load("state.etcd", version)({**server.settings, **settings})
        stores.append(store)
        await store.open()
        return store

    before = asyncio.all_tasks()
    yield open_one
    for store in stores:
        await store.close()
        await store.close()
    async with asyncio.timeout(10):  # the library ends its own tasks a little later
        while left := asyncio.all_tasks() - before - {asyncio.current_task()}:
            await asyncio.wait(left)
    gc.collect()
    assert not complaints, complaints
