"""A store of each kind, components for it, and a sidecar that serves them: the world in which a scenario runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

from scenarios.grpc_client import DaprGrpcClient, GrpcClient
from scenarios.http_client import HttpClient, path
from scenarios.sdk_client import AioSdkClient, SyncSdkClient
from servers.component_files import component
from servers.database import Database, Settings
from servers.grpc_protos import LAYOTTO
from servers.pannier_process import Pannier
from servers.processes import free_port

from pannier_sidecar.state.store import Feature

APP_ID = "shop"
NAMESPACE = "north"

FOR_ACTORS = {Feature.ETAG, Feature.TRANSACTIONAL}

PREFIXES: Mapping[str, tuple[Settings, str]] = {
    "by-app": ({"keyPrefix": "appid"}, "shop||"),
    "by-name": ({"keyPrefix": "name"}, "by-name||"),
    "by-namespace": ({"keyPrefix": "namespace"}, "north.shop||"),
    "by-nothing": ({"keyPrefix": "none"}, ""),
    "by-text": ({"KEYPREFIX": "Fruit"}, "fruit||"),
    "by-dash": ({"keyScheme": "dash"}, "shop-"),
}
"""Stores that differ only in their key prefix: its setting in the component, and the prefix of stored keys."""


@dataclass
class World:
    """A sidecar with stores of one kind, all over one database."""

    database: Database
    pannier: Pannier
    http: HttpClient
    dapr_grpc: DaprGrpcClient
    layotto_grpc: GrpcClient
    dapr_sdk: SyncSdkClient
    dapr_sdk_aio: AioSdkClient
    stored: Callable[[str], bytes | None] | None
    """Reads the database without the sidecar; None if nobody else can."""
    components: Path
    """The folder of its components."""
    environment: Mapping[str, str]
    """What a sidecar over the same database needs."""

    def can(self, feature: Feature) -> bool:
        return feature in self.database.claims


def write_components(folder: Path, database: Database, settings: Settings) -> None:
    """Write a folder: `statestore`, one store for each prefix, one of another app; on memory one without a server.

    A sidecar waits five seconds for that one before it serves, and its behaviour does not depend on the other stores.
    """
    folder.mkdir()
    for_actors = {"actorStateStore": "true"} if database.claims >= FOR_ACTORS else {"defaultStateStore": "true"}
    write = partial(component, kind=database.store_type, version=database.store_version)
    soon = {"changesPollInterval": "500ms"}  # where changes are not pushed
    files = {"statestore": write("statestore", settings={**settings, **for_actors, **soon})}
    files |= {name: write(name, settings={**settings, **more}) for name, (more, _) in PREFIXES.items()}
    files["private"] = write("private", settings=settings, scopes=["billing"])
    if database.name == "in-memory":
        files["away"] = component("away", "state.redis", {"redisHost": f"127.0.0.1:{free_port()}"})
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


@contextmanager
def served(folder: Path, *flags: str, **environment: str) -> Iterator[Pannier]:
    """Run `pannier serve` on a folder of components."""
    ports = ("--http-port", "0", "--dapr-grpc-port", "0", "--enable-metrics=false")
    environment = {"NAMESPACE": NAMESPACE, **environment}
    pannier = Pannier("serve", "--app-id", APP_ID, "--components", folder, *ports, *flags, environment=environment)
    try:
        yield pannier
        pannier.process.terminate()
        assert pannier.end() == 0, pannier.err
        assert "Traceback" not in pannier.err
    finally:
        pannier.close()


def _is_open(http: HttpClient, store: str) -> bool:
    return http.call("GET", path(store, "k")).status == 204


@contextmanager
def world(database: Database, folder: Path) -> Iterator[World]:
    """Run a separate world in a folder."""
    with ExitStack() as stack:
        server = stack.enter_context(database.serve(folder / "server"))
        write_components(folder / "components", database, database.patient(server.settings))
        pannier = stack.enter_context(served(folder / "components", **server.environment))
        http = HttpClient(pannier.port())
        stack.callback(http.close)
        pannier.until(lambda: http.call("GET", "/v1.0/healthz").status == 204, "health")
        for name in ("statestore", *PREFIXES):
            pannier.until(partial(_is_open, http, name), f"{name} open")
        port = pannier.grpc_port()
        clients = (
            DaprGrpcClient(port),
            GrpcClient(port, LAYOTTO),
            SyncSdkClient(port, http.port),
            AioSdkClient(port, http.port),
        )
        for client in clients:
            stack.callback(client.close)
        yield World(database, pannier, http, *clients, server.stored, folder / "components", server.environment)


class Worlds:
    """The world of one database at a time: it ends when the world of another one is requested."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._stack = ExitStack()
        self._current: World | None = None
        self._failed: dict[str, Exception] = {}

    def of(self, database: Database) -> World:
        """Return the world of a database, started if need be; what failed to start is not tried again."""
        if self._current is not None and self._current.database is database:
            return self._current
        if database.name in self._failed:
            raise self._failed[database.name]
        self.close()
        folder = Path(mkdtemp(prefix=f"{database.name}-", dir=self._folder))
        try:
            self._current = self._stack.enter_context(world(database, folder))
        except Exception as error:
            self._failed[database.name] = error
            raise
        return self._current

    def close(self) -> None:
        """End the current world. If its sidecar fails, the test that requests the next world fails, or the last
        test.
        """
        self._current = None
        self._stack.close()
