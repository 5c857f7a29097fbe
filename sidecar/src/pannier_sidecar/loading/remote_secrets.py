"""Secret stores on other machines: what components refer to is read beforehand, and again at intervals.

Components are planned without waiting. So a reference is first recorded, and its component waits; when the secret has
been read, or has changed, the components are planned again. A secret that was read stays in use while its store cannot
be reached.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pannier_crds.problems import quoted
from pannier_crds.secret import Secret
from pannier_sidecar.network.jitter import uniform
from pannier_sidecar.secret_reader import SecretMissingError, SecretStoreFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    from pannier_crds.catalogue import Setting
    from pannier_crds.component import Component, SecretKeyRef
    from pannier_sidecar.secret_stores.server import SecretServer

    Answer = TypeVar("Answer")

log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.25
MAX_PAUSE: Final = 5.0
"""Seconds between two attempts to read a secret for the first time."""
_AT_ONCE: Final = 4


class _Known:
    """What is known of one secret."""

    __slots__ = ("missing", "texts", "why")

    def __init__(self) -> None:
        self.texts: dict[str, Secret] | None = None
        self.missing = ""
        """Why there is no such secret; empty: there is one, or it is not known."""
        self.why = "it is being read"
        """Why it could not be read; empty if it was."""

    @property
    def is_known(self) -> bool:
        return self.texts is not None or bool(self.missing)


class RemoteSecrets:
    """The secret store of one component, on another machine."""

    empty_if_missing = False
    is_readable = True

    def __init__(
        self, component: Component, settings: Mapping[str, Setting], namespace: str | None, changed: Callable[[], None]
    ):
        """Open nothing yet. `namespace` is the sidecar's, where secrets are looked up if the store has namespaces.
        `changed` is called when a secret that components refer to was read, and is new.
        """
        self.type = component.type.lower()
        self.capabilities: tuple[str, ...] = ()
        self._name = component.name
        self._settings = settings
        self._namespace = {"namespace": namespace} if namespace else {}
        self._changed = changed
        self._server: SecretServer | None = None
        self._known: dict[str, _Known] = {}
        self._referred: set[str] = set()
        self._reading: asyncio.Task[None] | None = None
        self._has_new = asyncio.Event()
        self.is_settled = asyncio.Event()
        """Set when each secret that is referred to has been tried once."""

    # --- for components -------------------------------------------------------------------------------------------

    def waits_for(self, reference: SecretKeyRef) -> str:
        """Return why a reference cannot be resolved yet; empty if it can, or if there is no such secret."""
        known = self._refer(reference)
        return "" if known.is_known else f"the secret {quoted(reference.name)}: {known.why}"

    def secret(self, reference: SecretKeyRef) -> str:
        """Return the secret as it was last read. Raises SecretMissingError."""
        known = self._refer(reference)
        if known.texts is None:
            raise SecretMissingError(known.missing or known.why)
        text = known.texts.get(reference.key)
        if text is None:
            raise SecretMissingError(
                f"the secret {quoted(reference.name)} has no key {quoted(reference.key)}; correct key, or add it there"
            )
        return text.reveal()

    def _refer(self, reference: SecretKeyRef) -> _Known:
        self._referred.add(reference.name)
        known = self._known.get(reference.name)
        if known is None:
            known = self._known[reference.name] = _Known()
            self.is_settled.clear()
            self._has_new.set()
        return known

    def begin_plan(self) -> None:
        self._referred.clear()

    def end_plan(self) -> None:
        """Forget secrets that no component refers to any more."""
        for name in self._known.keys() - self._referred:
            del self._known[name]
        if not self._known:
            self.is_settled.set()

    # --- for the Secrets API --------------------------------------------------------------------------------------

    async def read(self, name: str, metadata: Mapping[str, str]) -> Mapping[str, str]:
        """Return the texts of one secret, as its store has them now."""
        return await self._open().read(name, {**self._namespace, **metadata})

    async def read_all(self, metadata: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """Return every secret, as its store has them now."""
        return await self._open().read_all({**self._namespace, **metadata})

    # --- reading at intervals -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start to read what components refer to. Call within the event loop."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_at_intervals(), name=f"read secrets of {self._name}")
            self._reading.add_done_callback(self._restart)

    def _restart(self, task: asyncio.Task[None]) -> None:
        self._reading = None
        if not task.cancelled():
            log.error("secrets of %s were not read because of a bug in Pannier", self._name, exc_info=task.exception())
            self.is_settled.set()
            asyncio.get_running_loop().call_later(MAX_PAUSE, self.start)

    async def stop(self) -> None:
        """Stop reading, and close the connections."""
        if self._reading is not None:
            self._reading.remove_done_callback(self._restart)
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._server is not None:
            await self._server.close()

    def _open(self) -> SecretServer:
        if self._server is None:
            from pannier_sidecar.secret_stores.server import open_server  # few sidecars need it

            self._server = open_server(self.type, self._settings)
            self.capabilities = self._server.capabilities
        return self._server

    async def _read_at_intervals(self) -> None:
        pause = FIRST_PAUSE
        while True:
            self._has_new.clear()
            before = self._said()
            has_changed = await self._read_referred()
            self.is_settled.set()
            if has_changed or self._said() != before:
                self._changed()
            if all(known.is_known for known in self._known.values()):
                pause = FIRST_PAUSE
                seconds = self._server.refresh_interval if self._server is not None else MAX_PAUSE
            else:
                seconds, pause = pause, min(pause * 2, MAX_PAUSE)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds * uniform(0.8, 1.0)):
                    await self._has_new.wait()

    def _said(self) -> dict[str, str]:
        return {name: known.why for name, known in self._known.items() if not known.is_known}

    async def _read_referred(self) -> bool:
        """Read every secret that is referred to, and return whether one has changed."""
        names = list(self._known)
        has_changed = False
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            has_changed |= any(await asyncio.gather(*map(self._read_one, some)))
        return has_changed

    async def _read_one(self, name: str) -> bool:
        known = self._known.get(name)
        if known is None:
            return False
        try:
            found = await self._open().read(name, self._namespace)
        except SecretMissingError as error:
            is_new = known.missing != str(error)
            known.texts, known.missing, known.why = None, str(error), ""
            return is_new
        except SecretStoreFailedError as error:
            if known.why != str(error):
                what = "its secrets are used as they were read before" if known.is_known else "it is tried again"
                log.warning("secret store %s: %s; %s", self._name, error, what)
            known.why = str(error)
            return False
        texts = {key: Secret(text) for key, text in found.items()}
        is_new = known.texts != texts
        known.texts, known.missing, known.why = texts, "", ""
        return is_new
