"""A watch through a sidecar reports what becomes of keys on every store that reports changes, or is polled for them."""

from __future__ import annotations

import asyncio

import pytest
from scenarios.state_client import Item
from scenarios.worlds import World
from servers.event_source import Event, close_all, connect, target

from pannier_sidecar.state.feeds import ChangesBy
from pannier_sidecar.state.store import Feature

pytestmark = [
    pytest.mark.needs(Feature.KEYS_LIKE),
    pytest.mark.on.with_args(lambda database: database.changes_by is not ChangesBy.NONE),
]


@pytest.mark.every_store
def test_the_state_and_what_becomes_of_it_are_reported(here: World, group: str) -> None:
    asyncio.run(_watch(here, group))


async def _watch(here: World, group: str) -> None:
    one, two, other = f"{group}one", f"{group}two", f"x{group}"
    save = here.http.save
    await asyncio.to_thread(save, "statestore", Item(one, b"1"), Item(other, b"1"))
    stream = await connect(here.http.port, target(group, values=True))
    try:
        assert _shown(await stream.until("ready")) == [("state", one, 1), ("ready", None, None)]
        await asyncio.to_thread(save, "statestore", Item(other, b"2"), Item(one, b"2"))
        assert _shown(await stream.until("change")) == [("change", one, 2)]
        await asyncio.to_thread(save, "statestore", Item(two, b"3"))
        assert _shown(await stream.until("change"))[-1] == ("change", two, 3)
        await asyncio.to_thread(here.http.delete, "statestore", one)
        assert _shown(await stream.until("delete"))[-1] == ("delete", one, None)
    finally:
        await close_all()


def _shown(events: list[Event]) -> list[tuple[str, str | None, int | None]]:
    return [(each.name, each.data.get("key"), each.data.get("value")) for each in events if each.name != "beat"]
