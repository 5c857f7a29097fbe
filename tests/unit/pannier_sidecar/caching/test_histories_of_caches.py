"""Random histories through three sidecars with caches: nothing is older than promised, whatever becomes of feeds."""

import asyncio
import random

import pytest
from servers.cache_history import CacheHistory
from servers.eventually import until
from unit.pannier_sidecar.caching.cached_stores import Sidecar

from pannier_sidecar.state import following
from pannier_sidecar.stores.in_memory import InMemoryStore

BOUND_S = 0.2


async def cut(sidecars: list[Sidecar], history: CacheHistory) -> None:
    """Cut feeds off for a while, again and again."""
    while True:
        await asyncio.sleep(random.random())
        number = random.randrange(len(sidecars))
        sidecars[number].away.is_cut = True
        await until(lambda number=number: not sidecars[number].is_proven)
        history.lost.add(number)
        await asyncio.sleep(random.random() / 10)
        history.lost.discard(number)
        sidecars[number].away.is_cut = False


@pytest.mark.parametrize("max_bytes", [2**20, 4096], ids=["roomy", "tight"])
async def test_nothing_is_older_than_promised(max_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "FIRST_PAUSE_S", 0.005)
    monkeypatch.setattr(following, "MAX_PAUSE_S", 0.01)
    database = InMemoryStore({})
    database.feed_lag_s = 0.02
    await database.open()
    sidecars = [Sidecar(database, max_bytes=max_bytes, bound_s=BOUND_S) for _ in range(3)]
    for sidecar in sidecars:
        await sidecar.until_proven()
    history = CacheHistory([sidecar.store for sidecar in sidecars], [f"app||{n}" for n in range(12)], BOUND_S)
    cutting = asyncio.create_task(cut(sidecars, history))
    try:
        await history.run(15_000, clients=24)
    finally:
        cutting.cancel()
        for sidecar in sidecars:
            await sidecar.stop()
        await database.close()
    assert sum(sidecar.cached.counts.hits for sidecar in sidecars) > history.reads / 100, "the cache was used"
    assert sum(sidecar.cached.counts.resets for sidecar in sidecars) > 1, "feeds were lost"
