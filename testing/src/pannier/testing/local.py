"""A sidecar in this process, in a thread of its own, over a database in memory."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from threading import Thread
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from pannier_crds.component import Component, MetadataItem
from pannier_sidecar import listening
from pannier_sidecar.app import Sidecar
from pannier_sidecar.loading.folder import ParsedComponent, Reading
from pannier_sidecar.settings import RUN_DEFAULTS, from_environment
from pannier_sidecar.stores.in_memory import InMemoryStore

from .faults import Faults, FaultyStore

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from pannier_sidecar.state.directory import ServedStore

Result = TypeVar("Result")

PATIENCE_S: Final = 10.0
"""Seconds that the start may take."""
_SETTINGS: Final = {
    **RUN_DEFAULTS,
    "listen.http_port": 0,
    "listen.grpc_port": 0,
    "listen.metrics_port": None,
    "components.poll_interval": None,
    "stop.graceful": 0.0,
}


class LocalPannier:
    """One sidecar with one store, on ports of this machine that were free.

    It serves the same API as in a cluster, over HTTP and gRPC. `faults` and `advance` act on its database. The methods
    may be called from any thread but its own.
    """

    def __init__(self, *, app_id: str = "app", store: str = "statestore", profile: str = "spec"):
        """Prepare a sidecar of an app with a store of that name, which holds the state of actors too.

        `profile` is spec or dapr: whose answers apply where the published specs and Dapr differ.
        """
        self.app_id = app_id
        self.store = store
        self.faults = Faults()
        changes: Mapping[str, Any] = {**_SETTINGS, "app.id": app_id, "profile": profile}
        self._settings = from_environment(MappingProxyType({}), changes)
        self._memory = InMemoryStore({})
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="pannier", daemon=True)
        self._resources = ExitStack()
        self.http_port = 0
        """Port of the HTTP API on 127.0.0.1, once it has started."""
        self.grpc_port = 0
        """Port of the gRPC API on 127.0.0.1, once it has started."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The beginning of the HTTP API's addresses, without a slash at its end."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which the SDKs of Dapr find the sidecar."""
        return {
            "APP_ID": self.app_id,
            "DAPR_HTTP_PORT": str(self.http_port),
            "DAPR_GRPC_PORT": str(self.grpc_port),
        }

    def start(self) -> None:
        """Serve; return when the API answers. Raises RuntimeError if it does not start."""
        with ExitStack() as undo:
            self._thread.start()
            undo.callback(self._end_thread)
            listeners = undo.enter_context(listening.bind(self._settings))
            component = Component(self.store, "state.in-memory", metadata=(MetadataItem("actorStateStore", "true"),))
            sidecar = self._do(self._serve(listeners, Reading((ParsedComponent(component, "a test"),))))
            undo.callback(lambda: self._do(sidecar.stop()))
            self.http_port, self.grpc_port = listeners.api_port or 0, listeners.grpc_port or 0
            self._resources = undo.pop_all()

    def close(self) -> None:
        """End it, and wait until it has ended. Closing twice is harmless."""
        self._resources.close()

    def advance(self, seconds: float) -> None:
        """Let values expire as if so many seconds had passed. The time that calls take is not affected."""
        self._do(self._advance(seconds))

    def reset(self) -> None:
        """Forget all state, and let everything go well again."""
        self.faults.clear()
        self._do(self._forget())

    async def _serve(self, listeners: listening.Listeners, reading: Reading) -> Sidecar:
        sidecar = Sidecar(self._settings, listeners, reading)
        sidecar.read_components()
        await sidecar.start(PATIENCE_S)
        served: ServedStore | None = sidecar.supervisor.directory.served.get(self.store)
        if served is None:
            raise RuntimeError(f"the store {self.store!r} could not be opened; write a name as of a component")
        await served.store.close()
        await self._memory.open()
        served.store = FaultyStore(self._memory, self.faults)
        return sidecar

    async def _advance(self, seconds: float) -> None:
        self._memory.advance(seconds)

    async def _forget(self) -> None:
        await self._memory.close()
        await self._memory.open()

    def _do(self, what: Coroutine[Any, Any, Result]) -> Result:
        """Have the thread do something, and return its result."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(PATIENCE_S)

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()
