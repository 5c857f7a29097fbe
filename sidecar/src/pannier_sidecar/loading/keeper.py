"""The keeper of an app's stores: from files to a directory of open stores, for as long as the sidecar runs."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pannier_sidecar.loading.as_daprd import tell_of_refused, told_of_duplicates
from pannier_sidecar.loading.folder import FolderUnreadableError, FolderWatch, Reading
from pannier_sidecar.loading.open_stores import RETIRING_PATIENCE, OpeningObserver, OpenStore, Slot
from pannier_sidecar.loading.planning import Plan, plan
from pannier_sidecar.loading.states import ComponentState, Standing
from pannier_sidecar.state.directory import Directory
from pannier_sidecar.state.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pannier_sidecar.loading.resolving import Surroundings
    from pannier_sidecar.state.directory import ServedStore

log = logging.getLogger(__name__)

SETTLING: Final = 0.05
"""Seconds in which a changed folder must not change again: whoever writes a file in place takes less."""


class StoreKeeper:
    """Keeps the stores that an app's components ask for.

    `directory` is replaced as a whole whenever something else is to be served, and `on_change` called with the new one.
    """

    def __init__(
        self,
        source: FolderWatch | Reading,
        surroundings: Surroundings,
        observer: OpeningObserver,
        *,
        poll_interval: float = 1.0,
    ):
        """Take the components from a folder that is watched, or a reading that never changes."""
        self._watch = source if isinstance(source, FolderWatch) else None
        self._fixed = source if isinstance(source, Reading) else Reading()
        # A store that no file asks for is none that daprd would judge.
        self._surroundings = surroundings if self._watch else replace(surroundings, is_daprd=False)
        self._observer = observer
        self._poll_interval = poll_interval
        self._plan = Plan()
        self._slots: dict[str, Slot] = {}
        self._retiring: dict[asyncio.Task[None], OpenStore] = {}
        self._watching: asyncio.Task[None] | None = None
        self._is_asked_to_reload = asyncio.Event()
        self._told: set[str] = set()
        self._trouble = ""
        self.directory = Directory(surroundings.app_id, seen_from=surroundings.sees)
        self.version = ""
        """Of the folder that is served from, as it calls itself; empty where it does not."""
        self.status_key = ""
        """Of whoever writes that folder."""
        self.on_change: Callable[[Directory], None] = _nobody
        self.on_wrong: Callable[[], None] | None = None
        """Called where what was read while serving is so wrong that daprd would end."""

    def read(self) -> Plan:
        """Read the components and judge them, opening nothing. Raises FolderUnreadableError."""
        reading = self._watch.read() if self._watch else self._fixed
        if reading is not None:
            self._take(reading)
        self._note_version()
        return self._plan

    def start(self) -> None:
        """Begin to open what `read` found, and to watch for changes. Call within the event loop."""
        self._tell()
        self._carry_out()
        if self._watch is not None:
            self._begin_watching(self._watch)

    async def settle(self, patience: float) -> None:
        """Wait until each store is open, for at most `patience` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                for slot in list(self._slots.values()):
                    await slot.is_settled.wait()

    async def stop(self, patience: float = RETIRING_PATIENCE) -> None:
        """Close every store, after its calls have ended or after `patience` seconds."""
        tasks = [slot.opening for slot in self._slots.values() if slot.opening]
        if self._watching is not None:
            tasks.append(self._watching)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        open_stores = [slot.current for slot in self._slots.values() if slot.current]
        open_stores += self._retiring.values()
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*(store.retire(patience) for store in open_stores))
        self._slots = {}
        self._publish()

    def reload(self) -> None:
        """Read the components now, whether or not a change can be seen. Nothing happens where there is no folder."""
        self._is_asked_to_reload.set()

    def states(self) -> list[ComponentState]:
        """How every component is, by name."""
        states = [_state_of(slot) for slot in self._slots.values()]
        for refused in self._plan.refused:
            if refused.name not in self._slots:
                name = refused.name or refused.source
                states.append(ComponentState(name, refused.type, refused.version, "refused", refused.why))
        states += [
            ComponentState(hidden.name, hidden.type, hidden.version, "hidden", hidden.why)
            for hidden in self._plan.hidden
            if hidden.name not in self._slots
        ]
        return sorted(states, key=lambda state: state.name)

    @property
    def secret_stores(self) -> tuple[ComponentState, ...]:
        """The secret stores that the app's components may name."""
        return self._plan.secret_stores

    async def ask(self, seconds: float) -> list[ComponentState]:
        """How every component is after each open store has been asked whether it answers within that time."""
        slots = list(self._slots.values())
        answers = await asyncio.gather(*(_fault_of(slot.current, seconds) for slot in slots))
        faults = {slot.wanted.name: why for slot, why in zip(slots, answers, strict=True) if why}
        return [
            ComponentState(state.name, state.type, state.version, "waiting", faults[state.name], state.capabilities)
            if state.name in faults
            else state
            for state in self.states()
        ]

    def note_failure(self, served: ServedStore) -> None:
        """Take note that a call could not reach its store."""
        slot = self._slots.get(served.name)
        if slot is not None and slot.current is not None and slot.current.served is served:
            slot.current.breaker.note_failure()

    def _begin_watching(self, watch: FolderWatch) -> None:
        self._watching = asyncio.create_task(self._keep_watching(watch), name="watch components")
        self._watching.add_done_callback(lambda task: self._watch_on(task, watch))

    def _watch_on(self, task: asyncio.Task[None], watch: FolderWatch) -> None:
        """A defect that ended the watching is not silent, and not the end of it."""
        if not task.cancelled():
            log.error("a change of the components was not taken because of a defect", exc_info=task.exception())
            self._begin_watching(watch)

    async def _keep_watching(self, watch: FolderWatch) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_interval):
                    await self._is_asked_to_reload.wait()
            is_asked = self._is_asked_to_reload.is_set()
            self._is_asked_to_reload.clear()
            try:
                if not is_asked and not watch.has_news():
                    continue
                reading = await asyncio.to_thread(watch.read, SETTLING)
            except FolderUnreadableError as trouble:
                self._say_once(f"{trouble}; everything stays as it is")
                continue
            self._trouble = ""
            if reading is not None:
                self._take(reading)
                self._tell()
                if self._plan.duplicates and self.on_wrong is not None:
                    log.critical("%s", told_of_duplicates(self._plan.duplicates, "load resources from disk"))
                    self.on_wrong()
                self._carry_out()
            self._note_version()

    def _note_version(self) -> None:
        """When its changes are being carried out: what is said of stores is then never older than the version."""
        if self._watch is not None:
            self.version, self.status_key = self._watch.version, self._watch.status_key

    def _take(self, reading: Reading) -> None:
        """Judge what was read."""
        serving = [slot.wanted if slot.current is None else slot.current.wanted for slot in self._slots.values()]
        self._plan = plan(reading, self._surroundings, serving)
        if self._watch is not None:
            self._watch.also_watch(self._plan.secret_files)

    def _tell(self) -> None:
        """Log what is wrong, a line for each component, each line once."""
        refusals = {" | ".join(refused.lines()): refused for refused in self._plan.refused}
        for line, refused in refusals.items():
            if line not in self._told:
                log.error("refused: %s", line)
                if refused.type and self.on_wrong is not None:
                    tell_of_refused(refused)
                    if not refused.ignores_errors:
                        self.on_wrong()
        for line in self._plan.warnings:
            if line not in self._told:
                log.warning("%s", line)
        for line in self._plan.aside:
            if line not in self._told:
                log.info("%s", line)
        self._told = {*refusals, *self._plan.warnings, *self._plan.aside}

    def _carry_out(self) -> None:
        wanted = {each.name: each for each in self._plan.wanted}
        for name in self._slots.keys() - wanted.keys():
            self._remove(name)
        for name, each in wanted.items():
            slot = self._slots.get(name)
            if slot is None:
                slot = self._slots[name] = Slot(each, self._publish, self._retire)
            slot.want(each, self._observer)
        self._publish()

    def _remove(self, name: str) -> None:
        slot = self._slots.pop(name)
        slot.stop_opening()
        log.info("store %s is no longer served", name)
        if slot.current is not None:
            self._retire(slot.current)

    def _retire(self, store: OpenStore) -> None:
        task = asyncio.create_task(store.retire(RETIRING_PATIENCE), name=f"retire {store.wanted.name}")
        self._retiring[task] = store
        task.add_done_callback(self._retiring.pop)

    def _publish(self) -> None:
        hidden = {hidden.name: hidden.why for hidden in self._plan.hidden}
        hidden |= {
            refused.name: f"its component is refused: {refused.why}" for refused in self._plan.refused if refused.name
        }
        slots = self._slots.values()
        self.directory = Directory(
            self._surroundings.app_id,
            [slot.current.served for slot in slots if slot.current is not None],
            [slot.waiting() for slot in slots if slot.current is None],
            hidden,
            seen_from=self._surroundings.sees,
        )
        self.on_change(self.directory)

    def _say_once(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("%s", trouble)


def _nobody(directory: Directory) -> None:
    pass


def _state_of(slot: Slot) -> ComponentState:
    """What is served in the slot's name, or else what is waited for."""
    shown = slot.wanted if slot.current is None else slot.current.wanted
    unreached = "" if slot.current is None else slot.current.breaker.why
    standing: Standing = "waiting" if slot.current is None or unreached else "ready"
    why = slot.why
    if unreached:
        why = unreached
    elif slot.current is not None and why and not slot.wanted.note:
        why = f"its latest version is not ready: {why}"
    return ComponentState(shown.name, shown.type.name, shown.version, standing, why, shown.type.capabilities)


async def _fault_of(store: OpenStore | None, seconds: float) -> str:
    if store is None or store.breaker.why:
        return ""  # what is known of it is said anyway
    try:
        async with asyncio.timeout(seconds):
            await store.store.ping()
    except StoreError as fault:
        return str(fault)
    except TimeoutError:
        return f"it did not answer within {seconds:g} s"
    return ""
