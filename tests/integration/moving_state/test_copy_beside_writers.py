"""Apps write to the target while state is copied into it: their values stay."""

from __future__ import annotations

import asyncio
import random

import pytest
from integration.moving_state.conftest import TO_BULKS
from servers.places import Desk, Place, numbered

from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.state.store import Store

COUNT = 1000


@pytest.mark.parametrize("route", TO_BULKS, indirect=True)
async def test_values_that_an_app_writes_meanwhile_are_never_overwritten(
    desk: Desk, route: tuple[Place, Place]
) -> None:
    source, target = route
    await source.save(*numbered(COUNT))
    names = [write.key for write in numbered(COUNT)]
    theirs = random.sample(names, COUNT // 3)
    async with target.store() as store:
        copying = asyncio.create_task(asyncio.to_thread(desk.copy, source.file, target.file))
        for name in theirs:
            await store.set(Set(name, b"the app's"))
            await asyncio.sleep(0)
        done = await copying
        values = await values_of(store, names)
    assert [values[name] for name in theirs] == [b"the app's"] * len(theirs), done.err[-5:]
    ours = dict.fromkeys(names).keys() - set(theirs)
    expected = {write.key: write.value for write in numbered(COUNT)}
    assert {name: values[name] for name in ours} == {name: expected[name] for name in ours}


async def values_of(store: Store, names: list[str]) -> dict[str, bytes]:
    found = await store.bulk_get([Get(name) for name in names])
    return {name: entry.value for name, entry in zip(names, found, strict=True) if hasattr(entry, "value")}
