"""A NATS server with a bucket, and stores over it that must leave nothing behind."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop
from servers.jetstream_server import BUCKET, JetStreamServer, with_bucket
from servers.opened_store import OpenStore, opening


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[JetStreamServer]:
    with with_bucket(tmp_path) as server:
        yield server


@pytest.fixture
async def open_store(server: JetStreamServer) -> AsyncIterator[OpenStore]:
    async with opening("state.jetstream", {"natsURL": server.url, "bucket": BUCKET, "timeout": 30.0}) as open_one:
        yield lambda **more: open_one("v1", **more)
