"""A PostgreSQL, poolers in front of it, and stores and sidecars over them that must leave nothing behind."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from signal import SIGTERM

import pytest
import uvloop
from servers.component_files import component
from servers.database import Settings
from servers.opened_store import OpenStore, opening
from servers.pannier_process import Pannier, serving
from servers.pgbouncer_server import PgBouncerServer, pooled
from servers.postgresql_server import PostgreSQLServer, running


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQLServer]:
    with running(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture
def server(shared_server: PostgreSQLServer) -> PostgreSQLServer:
    """A running server without any table of ours."""
    shared_server.resume()
    shared_server.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO public;")
    return shared_server


@pytest.fixture
def pooler(server: PostgreSQLServer, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[PgBouncerServer]:
    """PgBouncer in the mode that the test's parameter names; in transaction mode if it names none."""
    with pooled(tmp_path / "pgbouncer", server, getattr(request, "param", "transaction")) as pooler:
        yield pooler


@pytest.fixture
async def open_store(pooler: PgBouncerServer) -> AsyncIterator[OpenStore]:
    """Opens stores behind the pooler."""
    async with opening("state.postgresql", pooler.settings) as open_one:
        yield open_one


class Sidecars:
    """Starts sidecars over a store with these settings, and ends them."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._running = ExitStack()

    def __call__(self, settings: Settings, version: str = "v1") -> str:
        """Start another sidecar; return the URL of its state."""
        folder = self._folder / f"components-{version}"
        folder.mkdir(exist_ok=True)
        (folder / "s.yaml").write_text(component("statestore", "state.postgresql", settings, version=version))
        pannier = self._running.enter_context(serving(folder))
        pannier.until_says("is ready")
        self._running.callback(_end, pannier)
        return f"http://127.0.0.1:{pannier.port()}/v1.0/state/statestore"

    def end(self) -> None:
        """End all of them, as at a restart: their connections at the server are released."""
        self._running.close()


def _end(pannier: Pannier) -> None:
    pannier.send(SIGTERM)
    assert pannier.end() == 0


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Sidecars]:
    sidecars = Sidecars(tmp_path)
    try:
        yield sidecars
    finally:
        sidecars.end()
