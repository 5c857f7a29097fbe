"""The open secret stores on other machines: which of them components still describe, and which are closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pannier_crds.catalogue import Setting
    from pannier_crds.component import Component
    from pannier_sidecar.loading.remote_secrets import RemoteSecrets


def _ignore() -> None:
    pass


class RemoteSecretStores:
    """The secret stores on other machines that an app's components describe; each stays open while it is unchanged."""

    def __init__(self, changed: Callable[[], None] = _ignore, namespace: str | None = None):
        """`namespace` is the sidecar's."""
        self._changed = changed
        self._namespace = namespace
        self._stores: dict[str, tuple[object, RemoteSecrets]] = {}
        self._desired: dict[str, tuple[object, RemoteSecrets]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._is_started = False

    def begin_plan(self) -> None:
        """Begin to plan: `take` returns the stores that are still desired."""
        self._desired = {}
        for _, store in self._stores.values():
            store.begin_plan()

    def take(self, component: Component, settings: Mapping[str, Setting]) -> RemoteSecrets:
        """Return the store that a component describes: the open one if its settings are the same."""
        identity = (component.type.lower(), component.version, dict(settings))
        known = self._stores.get(component.name)
        if known is None or known[0] != identity:
            from pannier_sidecar.loading.remote_secrets import RemoteSecrets  # imported here: few sidecars need it

            known = identity, RemoteSecrets(component, settings, self._namespace, self._changed)
        self._desired[component.name] = known
        return known[1]

    def end_plan(self) -> None:
        """Close the stores that were not taken, and read what the others are asked for."""
        kept = [store for _, store in self._desired.values()]
        dropped = [store for _, store in self._stores.values() if store not in kept]
        self._stores = self._desired
        for store in kept:
            store.end_plan()
        if self._is_started:
            self.start()
            for store in dropped:
                task = asyncio.create_task(store.stop())
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    def start(self) -> None:
        """Start to read secrets. Call within the event loop."""
        self._is_started = True
        for _, store in self._stores.values():
            store.start()

    async def wait_settled(self) -> None:
        """Wait until each secret that is referred to has been tried once."""
        for _, store in list(self._stores.values()):
            await store.is_settled.wait()

    async def stop(self) -> None:
        """Close every store."""
        stores = [store for _, store in self._stores.values()]
        self._stores = {}
        await asyncio.gather(*self._closing, *(store.stop() for store in stores), return_exceptions=True)
