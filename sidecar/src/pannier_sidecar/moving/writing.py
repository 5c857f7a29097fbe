"""A store as a target: for each item it reads the key, decides, and writes only if the key has not changed since."""

from __future__ import annotations

import asyncio
from time import time
from typing import TYPE_CHECKING

from msgspec import Struct

from pannier_sidecar.moving.deciding import (
    EXPIRY_TOLERANCE,
    WRITES,
    Decision,
    Verdict,
    Written,
    decide,
    difference,
    digest_of,
    is_same,
    ttl_of,
)
from pannier_sidecar.moving.items import Item
from pannier_sidecar.moving.reading import PATIENCE, read
from pannier_sidecar.state.errors import (
    ETagMismatchError,
    OutcomeUnknownError,
    StateError,
    StoreError,
    StoreUnavailableError,
)
from pannier_sidecar.state.requests import Set
from pannier_sidecar.state.retries import pauses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pannier_sidecar.moving.deciding import Target
    from pannier_sidecar.moving.journal import Journal
    from pannier_sidecar.state.keys import KeyScheme
    from pannier_sidecar.state.store import Store, StoredValue


class _Planned(Struct, frozen=True):
    """A write that was decided on, and its note in the journal."""

    write: Set
    decision: Decision
    note: Written
    was_noted: bool
    """Whether an earlier attempt or run noted the same value; that write may have happened."""


class Comparison(Struct, frozen=True):
    """An item compared with what the target has."""

    item: Item
    difference: str
    """Empty: none."""


class StoreTarget:
    """An app's keys in the store that they are copied to."""

    def __init__(self, store: Store, scheme: KeyScheme, journal: Journal, limits: Target):
        self._store = store
        self._scheme = scheme
        self._journal = journal
        self._limits = limits

    async def take(self, items: Sequence[Item]) -> list[tuple[Item, Decision]]:
        """Write the items that may be written; return what became of each. Raises StoreUnavailableError if the store
        stays unavailable. If another client changed an item in between, it is read and decided on again.
        """
        batch = _Batch(self._scheme, items)
        lost: StoreError | None = None
        for pause in (*pauses(PATIENCE), None):
            lost = await self._attempt(batch)
            if not batch.pending:
                break
            if pause is None:
                batch.give_up(lost)
            else:
                await asyncio.sleep(pause if lost else 0)
        return batch.settled

    async def compare(self, items: Sequence[Item]) -> list[Comparison]:
        """Compare each item with what the target has now, but leave out items that have expired there meanwhile."""
        batch = _Batch(self._scheme, items)
        found = await self._found(batch)
        soon = time() + EXPIRY_TOLERANCE
        return [
            Comparison(item, _difference(item, found[stored]))
            for stored, item in batch.pending.items()
            if found[stored] is not None or not item.has_expired(soon)
        ]

    async def _attempt(self, batch: _Batch) -> StoreError | None:
        """Read, decide and write once; return the error if the target did not answer, else None."""
        found = await self._found(batch)
        written = self._journal.written(batch.pending)
        now = time()
        planned: dict[str, _Planned] = {}
        for stored, item in list(batch.pending.items()):
            entry = found[stored]
            if isinstance(entry, StoreError):
                batch.settle(stored, Decision(Verdict.FAIL, str(entry)))
                continue
            decision = decide(item, stored, entry, written[stored], self._limits, now)
            if decision.verdict in WRITES:
                note = Written(digest_of(item.value), item.expires_at)
                was_noted = any(note.digest == earlier.digest for earlier in written[stored])
                planned[stored] = _Planned(self._write(item, stored, decision, now), decision, note, was_noted)
            else:
                batch.settle(stored, decision)
        # Writes of one kind follow one another, because stores send those together.
        together = dict(sorted(planned.items(), key=lambda plan: plan[1].write.if_absent))
        return await self._carry_out(batch, together) if planned else None

    async def _carry_out(self, batch: _Batch, planned: dict[str, _Planned]) -> StoreError | None:
        self._journal.note({stored: plan.note for stored, plan in planned.items()})
        errors = await self._store.bulk_write([plan.write for plan in planned.values()])
        outcomes = dict(zip(planned, errors, strict=True))
        for stored, error in outcomes.items():
            batch.learn(stored, planned[stored].decision, error)
        self._journal.conclude(
            {stored: planned[stored].note for stored, error in outcomes.items() if error is None},
            {
                stored: plan.note
                for stored, plan in planned.items()
                if outcomes[stored] is not None and stored not in batch.doubtful and not plan.was_noted
            },
        )
        return next((error for error in errors if isinstance(error, StoreUnavailableError | OutcomeUnknownError)), None)

    async def _found(self, batch: _Batch) -> dict[str, StoredValue | StoreError | None]:
        keys = [(stored, item.key) for stored, item in batch.pending.items()]
        return dict(zip(batch.pending, await read(self._store, keys, self._scheme) if keys else (), strict=True))

    def _write(self, item: Item, stored: str, decision: Decision, now: float) -> Set:
        return Set(
            stored,
            item.value,
            if_match=decision.if_match,
            if_absent=decision.verdict is Verdict.CREATE and self._limits.has_etags,
            ttl=ttl_of(item, now),
            metadata=item.key.metadata(self._scheme),
        )


class _Batch:
    """Items by their stored keys: the pending ones, and the outcome of the others."""

    def __init__(self, scheme: KeyScheme, items: Sequence[Item]):
        self.pending: dict[str, Item] = {}
        self.settled: list[tuple[Item, Decision]] = []
        self.doubtful: dict[str, Decision] = {}
        """The decisions about keys whose write was sent but not answered."""
        for item in items:
            try:
                if self.pending.setdefault(item.key.stored(scheme), item) is not item:
                    why = "with keyScheme dash, another key of the source is stored under the same name"
                    self.settled.append((item, Decision(Verdict.FAIL, why)))
            except StateError as error:
                self.settled.append((item, Decision(Verdict.FAIL, str(error))))

    def learn(self, stored: str, decision: Decision, error: StoreError | None) -> None:
        """Record the outcome of a write; a write that was overtaken or not answered stays pending."""
        if error is None:
            self.settle(stored, decision)
        elif isinstance(error, OutcomeUnknownError):
            self.doubtful[stored] = decision
        elif not isinstance(error, ETagMismatchError | StoreUnavailableError):
            self.settle(stored, Decision(Verdict.FAIL, str(error)))

    def settle(self, stored: str, decision: Decision) -> None:
        """Settle a pending key. If a write in doubt is found in the target, it was ours."""
        if decision.verdict is Verdict.SAME:
            decision = self.doubtful.get(stored, decision)
        self.settled.append((self.pending.pop(stored), decision))

    def give_up(self, lost: StoreError | None) -> None:
        """Give up keys that others keep writing. Raises `lost` if the target failed."""
        if lost is not None:
            raise lost
        for stored in list(self.pending):
            self.settle(stored, Decision(Verdict.LEAVE, "others keep changing it"))


def _difference(item: Item, found: StoredValue | StoreError | None) -> str:
    if found is None:
        return "the target does not have it"
    if isinstance(found, StoreError):
        return f"the target can't read it: {found}"
    return "" if is_same(item, found) else difference(item, found)
