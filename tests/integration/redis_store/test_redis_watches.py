"""Watches of a store over Redis cost the server one connection, however many they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from servers.component_files import component
from servers.event_source import close_all, connect, target
from servers.pannier_process import serving
from servers.redis_server import RedisServer, single


@pytest.fixture(autouse=True)
async def no_stream_is_left() -> AsyncIterator[None]:
    yield
    await close_all()


def feeds(server: RedisServer) -> int:
    """Connections to which the server reports changes."""
    with server.client() as client:
        return sum("B" in each["flags"] for each in client.client_list())


async def test_a_hundred_watches_are_one_connection_which_ends_after_them(tmp_path: Path) -> None:
    folder = tmp_path / "components"
    folder.mkdir()
    with single(tmp_path / "redis") as server:
        (folder / "statestore.yaml").write_text(component("statestore", "state.redis", server.settings))
        with serving(folder) as pannier:
            pannier.until(lambda: pannier.call("/v1.0/state/statestore/k")[0] == 204, "the store open")
            assert feeds(server) == 0
            streams = [await connect(pannier.port(), target(f"{number % 10}/")) for number in range(100)]
            for stream in streams:
                await stream.until("ready")
            assert feeds(server) == 1
            items = json.dumps([{"key": f"{number}/k", "value": number} for number in range(10)])
            assert pannier.call("/v1.0/state/statestore", "POST", items)[0] == 201
            for number, stream in enumerate(streams):
                (change,) = await stream.until("change")
                assert change.key == f"{number % 10}/k"
            assert feeds(server) == 1
            await close_all()
            await asyncio.to_thread(pannier.until, lambda: feeds(server) == 0, "the connection ended")
