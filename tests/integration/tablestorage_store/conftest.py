"""Azurite's table service, and stores over it that must leave nothing behind."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop
from servers.opened_store import OpenStore, opening
from servers.tablestorage_server import TableServer, running


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TableServer]:
    with running(tmp_path) as server:
        yield server


@pytest.fixture
async def open_store(server: TableServer) -> AsyncIterator[OpenStore]:
    async with opening("state.azure.tablestorage", {**server.settings, "timeout": 30.0}) as open_one:
        yield open_one
