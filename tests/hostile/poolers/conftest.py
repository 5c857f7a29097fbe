"""A PostgreSQL, poolers before it, and stores and sidecars over them that have to leave nothing behind."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
import uvloop
from servers.component_files import component
from servers.database import Settings
from servers.opened_store import OpenStore, opening
from servers.pannier_process import Pannier
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


Serve = Callable[..., str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a sidecar over a store with these settings and returns where its state is, as a URL."""
    with ExitStack() as processes:

        def start(settings: Settings, version: str = "v1") -> str:
            folder = tmp_path / f"components-{version}"
            folder.mkdir(exist_ok=True)
            (folder / "s.yaml").write_text(component("statestore", "state.postgresql", settings, version=version))
            ports = ("--http-port", "0", "--dapr-grpc-port", "0", "--enable-metrics=false")
            pannier = Pannier("serve", "--app-id", "shop", "--components", folder, *ports)
            processes.callback(pannier.close)
            pannier.until_says("is ready")
            return f"http://127.0.0.1:{pannier.port()}/v1.0/state/statestore"

        yield start
