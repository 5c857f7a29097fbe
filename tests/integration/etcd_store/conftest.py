"""An etcd, and stores over it that must leave nothing behind."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import pytest
import uvloop
from servers.etcd_server import EtcdServer, running
from servers.opened_store import OpenStore, opening

PATIENCE_S = 10.0
"""The library ends its own tasks a little later."""


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    with running(tmp_path_factory.mktemp("etcd")) as server:
        yield server


@pytest.fixture
def server(shared: EtcdServer) -> EtcdServer:
    """A running server without any key, whatever the previous test did to it."""
    shared.resume()
    shared.call("kv/deleterange", {"key": "AA==", "range_end": "AA=="})
    return shared


@pytest.fixture
async def open_store(server: EtcdServer) -> AsyncIterator[OpenStore]:
    async with opening("state.etcd", server.settings, PATIENCE_S) as open_one:
        yield open_one
