"""Keeps the open stores in line with the component files while the sidecar runs."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pannier_sidecar.loading.as_daprd import duplicates_message, log_refused
from pannier_sidecar.loading.folder import FolderUnreadableError, FolderWatch, Reading
from pannier_sidecar.loading.open_stores import RETIRING_PATIENCE, OpeningObserver, OpenStore, StoreLifecycle
from pannier_sidecar.loading.planning import plan
from pannier_sidecar.loading.plans import Plan
from pannier_sidecar.loading.remote_secret_stores import RemoteSecretStores
from pannier_sidecar.loading.states import ComponentPhase, ComponentState
from pannier_sidecar.state.directory import Directory
from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.state.retries import never_short

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pannier_crds.component import Component
    from pannier_sidecar.loading.resolving import ResolutionContext
    from pannier_sidecar.loading.secrets import SecretStores
    from pannier_sidecar.state.directory import ServedStore

log = logging.getLogger(__name__)

SETTLING: Final = 0.05
"""Seconds for which a changed folder must stay as it is: writing a file in place takes less."""


class StoreSupervisor:
    """Opens, exchanges and closes the stores that an app's components describe.

    `directory` is replaced as a whole whenever the stores change, and `on_change` is called with the new one.
    """

    def __init__(
        self,
        source: FolderWatch | Reading,
        context: ResolutionContext,
        observer: OpeningObserver,
        *,
        poll_interval: float | None,
    ):
        """Take the components from a watched folder, or from a reading that never changes. Without `poll_interval`,
        changes count only when `reload` is called.
        """
        self._watch = source if isinstance(source, FolderWatch) else None
        self._fixed = source if isinstance(source, Reading) else Reading()
        # Without files there is nothing that daprd could reject.
        self._context = context if self._watch else replace(context, is_daprd=False)
        self._observer = observer
        self._poll_interval = poll_interval
        self._reading: Reading | None = None
        self._remote = RemoteSecretStores(self._plan_again, context.namespace)
        self._plan = Plan()
        self._lifecycles: dict[str, StoreLifecycle] = {}
        self._retiring: dict[asyncio.Task[None], OpenStore] = {}
        self._watching: asyncio.Task[None] | None = None
        self._reload_requested = asyncio.Event()
        self._logged: set[str] = set()
        self._last_warning = ""
        self.directory = Directory(context.app_id, seen_from=context.sees)
        self.version = ""
        """The version of the components folder that is served; empty if it has none."""
        self.status_key = ""
        """The token with which the folder's writer may query the state of the stores."""
        self.on_change: Callable[[Directory], None] = _ignore
        self.is_short: Callable[[], bool] = never_short
        """Returns whether memory is short; then calls are not made again."""
        self.on_invalid: Callable[[], None] | None = None
        """Called when components that were read while serving have an error that would end daprd."""

    def read(self) -> Plan:
        """Read and validate the components without opening stores. Raises FolderUnreadableError."""
        reading = self._watch.read() if self._watch else self._fixed
        if reading is not None:
            self._make_plan(reading)
        self._record_version()
        return self._plan

    def start(self) -> None:
        """Start opening the stores that `read` found, and watching for changes. Call within the event loop."""
        self._log_problems()
        self._remote.start()
        self._reconcile()
        if self._watch is not None:
            self._begin_watching(self._watch)

    async def wait_ready(self, patience: float) -> None:
        """Wait until each store is open, for at most `patience` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._remote.wait_settled()
                for lifecycle in list(self._lifecycles.values()):
                    await lifecycle.is_settled.wait()

    async def stop(self, patience: float = RETIRING_PATIENCE) -> None:
        """Close every store, after its calls have ended or after `patience` seconds."""
        tasks = [lifecycle.opening for lifecycle in self._lifecycles.values() if lifecycle.opening]
        if self._watching is not None:
            tasks.append(self._watching)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._remote.stop()
        open_stores = [lifecycle.current for lifecycle in self._lifecycles.values() if lifecycle.current]
        open_stores += self._retiring.values()
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*(store.retire(patience) for store in open_stores))
        self._lifecycles = {}
        self._publish()

    def reload(self) -> None:
        """Read the components now, even if no file has changed. Does nothing without a folder."""
        self._reload_requested.set()

    def deny(self, denies: Callable[[Component], bool]) -> None:
        """Use no components that `denies` forbids, from now on."""
        self._context = replace(self._context, denies=denies)
        self._plan_again()

    def states(self) -> list[ComponentState]:
        """Return the state of every component, sorted by name."""
        states = [_state_of(lifecycle) for lifecycle in self._lifecycles.values()]
        states += [
            ComponentState(each.name, each.type, each.version, "waiting", each.why)
            for each in self._plan.pending
            if each.name not in self._lifecycles
        ]
        for refused in self._plan.refused:
            if refused.name not in self._lifecycles:
                name = refused.name or refused.source
                states.append(ComponentState(name, refused.type, refused.version, "refused", refused.why))
        states += [
            ComponentState(hidden.name, hidden.type, hidden.version, "hidden", hidden.why)
            for hidden in self._plan.hidden
            if hidden.name not in self._lifecycles
        ]
        return sorted(states, key=lambda state: state.name)

    def resiliencies(self) -> Sequence[ComponentState]:
        """Return the state of every Resiliency object that is for the app, sorted by name."""
        if not self._plan.resiliencies and not self._plan.refused_resiliencies:
            return ()
        from pannier_sidecar.loading.resiliency_planning import states_of  # loaded with the first Resiliency

        return states_of(self._plan)

    @property
    def secret_stores(self) -> tuple[ComponentState, ...]:
        """Return the secret stores that the app's components may refer to."""
        return self._plan.secret_stores

    @property
    def secrets(self) -> SecretStores:
        """Return the open secret stores."""
        return self._plan.secrets

    async def probe(self, seconds: float) -> list[ComponentState]:
        """Probe each open store with this timeout, and return the state of every component."""
        lifecycles = list(self._lifecycles.values())
        answers = await asyncio.gather(*(_probe(lifecycle.current, seconds) for lifecycle in lifecycles))
        errors = {lifecycle.desired.name: why for lifecycle, why in zip(lifecycles, answers, strict=True) if why}
        return [
            ComponentState(state.name, state.type, state.version, "waiting", errors[state.name], state.capabilities)
            if state.name in errors
            else state
            for state in self.states()
        ]

    def record_failure(self, served: ServedStore) -> None:
        """Record that a call could not reach its store."""
        lifecycle = self._lifecycles.get(served.name)
        if lifecycle is not None and lifecycle.current is not None and lifecycle.current.served is served:
            lifecycle.current.breaker.record_failure()

    def _begin_watching(self, watch: FolderWatch) -> None:
        self._watching = asyncio.create_task(self._watch_folder(watch), name="watch components")
        self._watching.add_done_callback(lambda task: self._restart_watching(task, watch))

    def _restart_watching(self, task: asyncio.Task[None], watch: FolderWatch) -> None:
        """Log the bug that ended the watch, and watch again."""
        if not task.cancelled():
            log.error(
                "a change of the components was not applied because of a bug in Pannier", exc_info=task.exception()
            )
            self._begin_watching(watch)

    async def _watch_folder(self, watch: FolderWatch) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_interval):
                    await self._reload_requested.wait()
            is_requested = self._reload_requested.is_set()
            self._reload_requested.clear()
            try:
                if not is_requested and not watch.has_changed():
                    if self._plan.awaited and _has_socket_for(self._plan.awaited, self._context):
                        self._plan_again()
                    continue
                reading = await asyncio.to_thread(watch.read, SETTLING)
            except FolderUnreadableError as trouble:
                self._warn_once(f"{trouble}; nothing is changed")
                continue
            self._last_warning = ""
            if reading is not None:
                self._make_plan(reading)
                self._log_problems()
                if self._plan.duplicates and self.on_invalid is not None:
                    log.critical("%s", duplicates_message(self._plan.duplicates, "load resources from disk"))
                    self.on_invalid()
                self._reconcile()
            self._record_version()

    def _record_version(self) -> None:
        """Record the version. Called after reconciling, so that reported states are never older than it."""
        if self._watch is not None:
            self.version, self.status_key = self._watch.version, self._watch.status_key

    def _make_plan(self, reading: Reading) -> None:
        """Validate what was read, and decide what to serve."""
        serving = [
            lifecycle.desired if lifecycle.current is None else lifecycle.current.desired
            for lifecycle in self._lifecycles.values()
        ]
        before = self._plan.resiliencies
        self._reading = reading
        self._plan = plan(reading, self._context, serving, resiliencies=before, remote=self._remote)
        for parsed in self._plan.resiliencies:
            if parsed.resiliency not in [earlier.resiliency for earlier in before]:
                self._observer.resiliency_loaded(parsed.resiliency.name, parsed.resiliency.namespace or "")
                log.info("resiliency %s is in effect", parsed.resiliency.name)
        if self._watch is not None:
            self._watch.also_watch(self._plan.secret_files)

    def _plan_again(self) -> None:
        """Decide again what to serve, because secrets have changed, or the socket of a pluggable component is there."""
        if self._reading is not None:
            self._make_plan(self._reading)
            self._log_problems(may_end=False)
            self._reconcile()

    def _log_problems(self, *, may_end: bool = True) -> None:
        """Log each problem once, one line per component. Only a changed file may end the sidecar as it ends daprd: a
        secret that is deleted by mistake must not end every app that uses it.
        """
        every = (*self._plan.refused, *self._plan.refused_resiliencies)
        refusals = {" | ".join(refused.lines()): refused for refused in every}
        for line, refused in refusals.items():
            if line not in self._logged:
                log.error("refused: %s", line)
                if may_end and refused.type and self.on_invalid is not None:
                    log_refused(refused)
                    if not refused.ignores_errors:
                        self.on_invalid()
        for line in self._plan.warnings:
            if line not in self._logged:
                log.warning("%s", line)
        for line in self._plan.skipped:
            if line not in self._logged:
                log.info("%s", line)
        self._logged = {*refusals, *self._plan.warnings, *self._plan.skipped}

    def _reconcile(self) -> None:
        desired = {each.name: each for each in self._plan.desired}
        for name in self._lifecycles.keys() - desired.keys():
            self._remove(name)
        for name, each in desired.items():
            lifecycle = self._lifecycles.get(name)
            if lifecycle is None:
                lifecycle = self._lifecycles[name] = StoreLifecycle(
                    each, self._publish, self._retire, lambda: self.is_short()
                )
            lifecycle.want(each, self._observer)
        self._publish()

    def _remove(self, name: str) -> None:
        lifecycle = self._lifecycles.pop(name)
        lifecycle.stop_opening()
        self._observer.forget_policies(name)
        self._observer.cache_changed(name, None)
        log.info("store %s is no longer served", name)
        if lifecycle.current is not None:
            self._retire(lifecycle.current)

    def _retire(self, store: OpenStore) -> None:
        task = asyncio.create_task(store.retire(RETIRING_PATIENCE), name=f"retire {store.desired.name}")
        self._retiring[task] = store
        task.add_done_callback(self._retiring.pop)

    def _publish(self) -> None:
        hidden = {hidden.name: hidden.why for hidden in self._plan.hidden}
        hidden |= {
            refused.name: f"its component is refused: {refused.why}" for refused in self._plan.refused if refused.name
        }
        lifecycles = self._lifecycles.values()
        self.directory = Directory(
            self._context.app_id,
            [lifecycle.current.served for lifecycle in lifecycles if lifecycle.current is not None],
            [*self._plan.pending, *(lifecycle.waiting() for lifecycle in lifecycles if lifecycle.current is None)],
            hidden,
            seen_from=self._context.sees,
        )
        self.on_change(self.directory)

    def _warn_once(self, trouble: str) -> None:
        if trouble != self._last_warning:
            self._last_warning = trouble
            log.warning("%s", trouble)


def _has_socket_for(types: tuple[str, ...], context: ResolutionContext) -> bool:
    from pannier_sidecar.loading.plugging import has_socket_for  # few sidecars have components of unknown types

    return has_socket_for(types, context.sockets_folder)


def _ignore(directory: Directory) -> None:
    pass


def _state_of(lifecycle: StoreLifecycle) -> ComponentState:
    """Return the state of the store that is served, or of the one that is being opened."""
    shown = lifecycle.desired if lifecycle.current is None else lifecycle.current.desired
    unreached = "" if lifecycle.current is None else lifecycle.current.breaker.why
    phase: ComponentPhase = "waiting" if lifecycle.current is None or unreached else "ready"
    why = lifecycle.why
    if unreached:
        why = unreached
    elif lifecycle.current is not None and why and not lifecycle.desired.note:
        why = f"its latest version is not ready: {why}"
    capabilities = shown.type.capabilities if lifecycle.current is None else lifecycle.current.capabilities
    return ComponentState(shown.name, shown.type.name, shown.version, phase, why, capabilities)


async def _probe(store: OpenStore | None, seconds: float) -> str:
    if store is None or store.breaker.why:
        return ""  # `states` reports that already
    try:
        async with asyncio.timeout(seconds):
            await store.store.ping()
    except StoreError as error:
        return str(error)
    except TimeoutError:
        return f"it did not answer within {seconds:g} s"
    return ""
