"""Where the changes are made: a database that can be harmed, the sidecar of the writers and that of the watcher."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers.component_files import component
from servers.eventually import until
from servers.faulty_proxy import FaultyProxy
from servers.free_ports import free_port
from servers.pannier_process import Pannier
from servers.processes import ServerProcess
from watch_check.writers import STORE

Fault = Callable[[], Awaitable[None]]
PAUSED_S = 3.0


class Sidecar:
    """A sidecar on a port of its own, which can be ended and started again."""

    def __init__(self, components: Path):
        self._components = components
        self.port = free_port()
        self._process = self._start()

    def _start(self) -> Pannier:
        ports = ("--http-port", self.port, "--grpc-port", 0, "--enable-metrics=false", "--graceful-shutdown-seconds", 2)
        started = Pannier("serve", "--app-id", "shop", "--components", self._components, *ports)
        started.port()
        return started

    async def restart(self) -> None:
        await asyncio.to_thread(self._restart)

    def _restart(self) -> None:
        self._process.close()
        self._process = self._start()

    def close(self) -> None:
        self._process.close()


@dataclass
class Place:
    """Two sidecars over one database; they are one and the same if nobody else can see what it holds."""

    writers: Sidecar
    watcher: Sidecar
    faults: dict[str, Fault] = field(default_factory=dict)


@asynccontextmanager
async def place(folder: Path, name: str) -> AsyncIterator[Place]:
    """Run one of PLACES."""
    with ExitStack() as stack:
        kind, settings, of_watcher, faults = PLACES[name](stack, folder)
        writers = stack.enter_context(_sidecar(folder / "writers", kind, settings))
        watcher = writers
        if of_watcher is not None:
            watcher = stack.enter_context(_sidecar(folder / "watcher", kind, of_watcher))
            faults["the watcher's sidecar is killed"] = watcher.restart
        yield Place(writers, watcher, faults)


Made = tuple[str, Mapping[str, Any], Mapping[str, Any] | None, dict[str, Fault]]
"""Type and settings of the store, its settings in the watcher's own sidecar, and faults."""


def _sidecar(folder: Path, kind: str, settings: Mapping[str, Any]) -> Any:
    from contextlib import closing

    folder.mkdir()
    (folder / "store.yaml").write_text(component(STORE, kind, dict(settings)))
    return closing(Sidecar(folder))


def _in_memory(stack: ExitStack, folder: Path) -> Made:
    return "state.in-memory", {}, None, {}


def _sqlite(stack: ExitStack, folder: Path) -> Made:
    settings = {"connectionString": str(folder / "state.db"), "changesPollInterval": "200ms"}
    return "state.sqlite", settings, settings, {}


def _etcd(stack: ExitStack, folder: Path) -> Made:
    from servers.etcd_server import running

    server = stack.enter_context(running(folder / "etcd"))
    proxy = stack.enter_context(FaultyProxy(server.port))
    return "state.etcd", server.settings, {"endpoints": proxy.address}, _faults(server, proxy)


def _redis(stack: ExitStack, folder: Path) -> Made:
    from servers.redis_server import single

    options = ("--appendonly", "yes", "--appendfsync", "always")
    server = stack.enter_context(single(folder / "redis", *options))
    proxy = stack.enter_context(FaultyProxy(server.port))
    return "state.redis", server.settings, {"redisHost": proxy.address}, _faults(server, proxy)


def _redis_behind_sentinels(stack: ExitStack, folder: Path) -> Made:
    from servers.redis_server import watched_by_sentinels

    watched = stack.enter_context(watched_by_sentinels(folder / "redis", down_after_ms=2500))

    async def failover() -> None:
        dead = await asyncio.to_thread(watched.current_primary)
        dead.kill()
        await until(lambda: watched.primary_port() != dead.port)
        await asyncio.to_thread(dead.start)

    return "state.redis", watched.settings, watched.settings, {"the primary is killed and replaced": failover}


def _postgresql(stack: ExitStack, folder: Path) -> Made:
    from servers.postgresql_server import SUPERUSER, with_triggers

    server = stack.enter_context(with_triggers(folder / "postgresql", "v1"))
    proxy = stack.enter_context(FaultyProxy(server.port))
    settings = {"timeout": "5s", **server.settings}
    behind = {"timeout": "5s", "connectionString": f"postgresql://{SUPERUSER}@{proxy.address}/postgres"}
    return "state.postgresql", settings, behind, _faults(server, proxy)


def _faults(server: ServerProcess, proxy: FaultyProxy) -> dict[str, Fault]:
    """What may happen to a server, and to the connections to it."""

    async def restart() -> None:
        server.kill()
        await asyncio.to_thread(server.start)

    async def pause() -> None:
        await asyncio.to_thread(server.pause)
        await asyncio.sleep(PAUSED_S)
        server.resume()

    async def cut() -> None:
        await asyncio.to_thread(proxy.cut)

    async def silence() -> None:
        proxy.hold_answers()
        await asyncio.sleep(PAUSED_S)
        proxy.heal()

    return {
        "the database is killed and restarted": restart,
        "the database is paused": pause,
        "the connections to the database are cut": cut,
        "the database is not heard for a while": silence,
    }


PLACES: Mapping[str, Callable[[ExitStack, Path], Made]] = {
    "memory": _in_memory,
    "sqlite": _sqlite,
    "etcd": _etcd,
    "postgresql": _postgresql,
    "redis": _redis,
    "redis-sentinels": _redis_behind_sentinels,
}
