"""Copies from any source into a store, and then reads everything again to verify it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_sidecar.moving.deciding import Verdict

if TYPE_CHECKING:
    from pannier_sidecar.moving.items import AppKey, Batch
    from pannier_sidecar.moving.progress import Progress
    from pannier_sidecar.moving.reading import Source
    from pannier_sidecar.moving.tally import Tally
    from pannier_sidecar.moving.writing import StoreTarget

_REPORTED = {Verdict.LEAVE: "left as it is", Verdict.FAIL: "failed"}


async def copy(source: Source, target: StoreTarget, tally: Tally, progress: Progress) -> None:
    """Copy and verify; count in `tally` and report what was not copied. Raises StoreUnavailableError and
    MoveError.
    """
    reported: set[AppKey] = set()
    progress.begin("copying", source.total)
    async for batch in source.batches():
        await _take(batch, target, tally, progress, reported)
        progress.show(tally.done)
    progress.begin("verifying", source.total)
    looked_at = 0
    async for batch in source.batches():
        await _compare(batch, target, tally, progress, reported)
        looked_at += len(batch)
        progress.show(looked_at)
    progress.end()
    tally.is_verified = True


async def _take(batch: Batch, target: StoreTarget, tally: Tally, progress: Progress, reported: set[AppKey]) -> None:
    for item, decision in await target.take(batch.items):
        tally.count(decision.verdict, len(item.value))
        if decision.verdict in _REPORTED:
            reported.add(item.key)
            progress.say(f"{_REPORTED[decision.verdict]}: {item.key}: {decision.why}")
    for unread in batch.unread:
        progress.say(f"unreadable: {unread.where}: {unread.why}")
    tally.unread += len(batch.unread)
    tally.gone += batch.gone


async def _compare(batch: Batch, target: StoreTarget, tally: Tally, progress: Progress, reported: set[AppKey]) -> None:
    for compared in await target.compare(batch.items):
        item = compared.item
        if not compared.difference:
            tally.verified += 1
            tally.verified_bytes += len(item.value)
        elif item.key not in reported:
            tally.differing += 1
            progress.say(f"differs: {item.key}: {compared.difference}; it was written to meanwhile")
