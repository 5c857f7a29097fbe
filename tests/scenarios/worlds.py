"""A store of each kind, components that lead to it, and a sidecar that serves them: what a scenario plays in."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from redis import Redis, RedisCluster
from scenarios.grpc_client import GrpcClient, dapr_client, layotto_client
from scenarios.http_client import HttpClient
from servers.pannier_process import Pannier
from servers.redis_server import cluster, free_port, single, watched_by_sentinels

APP_ID = "shop"
NAMESPACE = "north"

Settings = Mapping[str, Any]

PREFIXES: Mapping[str, tuple[Settings, str]] = {
    "by-app": ({"keyPrefix": "appid"}, "shop||"),
    "by-name": ({"keyPrefix": "name"}, "by-name||"),
    "by-namespace": ({"keyPrefix": "namespace"}, "north.shop||"),
    "by-nothing": ({"keyPrefix": "none"}, ""),
    "by-text": ({"KEYPREFIX": "Fruit"}, "fruit||"),
    "by-dash": ({"keyScheme": "dash"}, "shop-"),
}
"""Stores that differ in their key prefix alone: what their component says, and what stored keys begin with."""


@dataclass
class World:
    """A sidecar with stores of one kind, all over one database."""

    kind: str
    pannier: Pannier
    http: HttpClient
    dapr_grpc: GrpcClient
    layotto_grpc: GrpcClient
    stored: Callable[[str], bytes | None] | None
    """Reads the database past the sidecar; None where nobody else can."""


def component(name: str, kind: str, settings: Settings, scopes: list[str] | None = None) -> str:
    """A component file."""
    fields = [{"name": field, "value": value} for field, value in settings.items()]
    manifest: dict[str, Any] = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": {"type": kind, "version": "v1", "metadata": fields},
    }
    if scopes:
        manifest["scopes"] = scopes
    return yaml.safe_dump(manifest)


def write_components(folder: Path, kind: str, settings: Settings) -> None:
    """Write a folder: `statestore`, one store for each prefix, one of another app, one whose server is not there."""
    folder.mkdir()
    files = {"statestore": component("statestore", kind, {**settings, "actorStateStore": "true"})}
    files |= {name: component(name, kind, {**settings, **more}) for name, (more, _) in PREFIXES.items()}
    files["private"] = component("private", kind, settings, scopes=["billing"])
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


@contextmanager
def world(kind: str, folder: Path) -> Iterator[World]:
    """Run a world of its own in a folder."""
    with ExitStack() as stack:
        store_type, settings, stored = stack.enter_context(DATABASES[kind](folder))
        write_components(folder / "components", store_type, settings)
        pannier = stack.enter_context(served(folder / "components"))
        http = HttpClient(pannier.port())
        stack.callback(http.close)
        pannier.until(lambda: http.call("GET", "/v1.0/healthz").status == 204, "health")
        grpc_heads = [make(pannier.grpc_port(), http) for make in (dapr_client, layotto_client)]
        for head in grpc_heads:
            stack.callback(head.close)
        yield World(kind, pannier, http, *grpc_heads, stored)


Database = tuple[str, Settings, Callable[[str], bytes | None] | None]


@contextmanager
def _memory(folder: Path) -> Iterator[Database]:
    yield "state.in-memory", {}, None


@contextmanager
def _sqlite(folder: Path) -> Iterator[Database]:
    file = folder / "state.db"

    def stored(key: str) -> bytes | None:
        connection = sqlite3.connect(file)
        try:
            rows = connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchall()
        finally:
            connection.close()
        return rows[0][0].encode() if rows else None

    yield "state.sqlite", {"connectionString": str(file)}, stored


@contextmanager
def _redis(folder: Path) -> Iterator[Database]:
    with single(folder / "redis") as server, server.client() as client:
        yield "state.redis", server.settings, _reader(client)


@contextmanager
def _sentinel(folder: Path) -> Iterator[Database]:
    with watched_by_sentinels(folder / "redis") as watched, watched.primary.client() as client:
        yield "state.redis", watched.settings, _reader(client)


@contextmanager
def _cluster(folder: Path) -> Iterator[Database]:
    with cluster(folder / "redis") as found, RedisCluster(host="127.0.0.1", port=found.nodes[0].port) as client:
        yield "state.redis", found.settings, _reader(client)


def _reader(client: Redis | RedisCluster) -> Callable[[str], bytes | None]:
    return lambda key: client.hget(key, "data")


DATABASES: Mapping[str, Callable[[Path], Any]] = {
    "in-memory": _memory,
    "sqlite": _sqlite,
    "redis": _redis,
    "redis-sentinel": _sentinel,
    "redis-cluster": _cluster,
}
