"""A watch goes on when its store breaks off, is exchanged, or when its client returns: nothing is missed unnoticed."""

import asyncio
import random
from collections.abc import Callable

import pytest
from unit.pannier_sidecar.watching.watched_store import LoggedStore, Watched, WatchedStore, asked, take, until_ready

from pannier_sidecar.state import watch as one_watch
from pannier_sidecar.state.watch import Watch
from pannier_sidecar.state.watch_events import Beat, Changed, Deleted, Ready, Reset, StateFound, WatchEvent


def keys_in(events: list[WatchEvent]) -> list[str]:
    return [event.key for event in events if isinstance(event, StateFound | Changed | Deleted)]


async def test_what_may_have_been_missed_is_a_reset(watched: Watched) -> None:
    async with watched.service.watching.watch(asked()) as watch:
        await until_ready(watch)
        watched.store.is_away = True
        await watched.set("meanwhile")
        await asyncio.sleep(0.1)
        watched.store.is_away = False
        events = await until_ready(watch)
        assert [type(event) for event in events] == [Reset, StateFound, Ready]
        await watched.set("after")
        assert keys_in(await take(watch, 1)) == ["after"]


async def test_no_beat_hides_that_the_database_is_away(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_watch, "BEAT_S", 0.05)
    async with watched.service.watching.watch(asked()) as watch:
        await until_ready(watch)
        watched.store.is_away = True
        async with asyncio.timeout(60):
            while not (isinstance(event := await anext(watch), Beat) and event.late > 1):
                assert isinstance(event, Beat | Reset)
        watched.store.is_away = False
        await until_ready(watch)
        async with asyncio.timeout(60):
            while (await anext(watch)).late:  # type: ignore[union-attr]  # nothing happens, so it is a beat
                pass


async def test_an_exchanged_store_is_a_reset(watched: Watched) -> None:
    await watched.set("old")
    before = watched.store
    async with watched.service.watching.watch(asked()) as watch:
        await until_ready(watch)
        await watched.exchange(WatchedStore())
        await watched.set("new")
        events = await until_ready(watch)
        assert [type(event) for event in events] == [Reset, StateFound, Ready]
        assert keys_in(events) == ["new"]
        async with asyncio.timeout(60):
            while before.feeds_open:
                await asyncio.sleep(0.005)
        await watched.set("newer")
        assert keys_in(await take(watch, 1)) == ["newer"]
    await before.close()


async def test_with_positions_a_lost_feed_is_no_reset(logged: Watched) -> None:
    async with logged.service.watching.watch(asked()) as watch:
        await until_ready(watch)
        await logged.set("before")
        await take(watch, 1)
        logged.store.is_away = True
        await logged.set("meanwhile")
        await asyncio.sleep(0.1)
        logged.store.is_away = False
        assert keys_in(await take(watch, 1)) == ["meanwhile"]
        assert logged.store.feeds_begun > 1


async def test_with_positions_a_client_goes_on_at_another_sidecar(logged: Watched, subtests: pytest.Subtests) -> None:
    assert isinstance(logged.store, LoggedStore)
    await logged.set("before")
    async with logged.service.watching.watch(asked()) as watch:
        await until_ready(watch)
        await logged.set("seen")
        [seen] = await take(watch, 1)
    await logged.set("meanwhile")
    await logged.set("seen")
    await logged.set("gone")
    await logged.delete("gone")
    for values in (False, True):
        for is_mute in (False, True):
            logged.store.is_mute = is_mute
            another = Watched(logged.store)
            with subtests.test(f"values {values}, ETags {not is_mute}"):
                async with another.service.watching.watch(asked("", seen.id, values=values)) as watch:
                    events = await take(watch, 4)
                    assert isinstance(events[0], Ready)
                    assert keys_in(events) == ["meanwhile", "seen", "gone"]
                    assert isinstance(events[-1], Deleted)
                    assert all(event.etag for event in events if isinstance(event, Changed))
                    assert all((event.value == b"1") is values for event in events if isinstance(event, Changed))
                    await another.set("after")
                    assert keys_in(await take(watch, 1)) == ["after"]
                async with another.service.watching.watch(asked("", events[1].id)) as watch:
                    assert keys_in(await take(watch, 4)) == ["seen", "gone", "after"]
            await another.service.end_watches()
    logged.store.is_mute = False
    logged.store.forgotten = 100
    another = Watched(logged.store)
    async with another.service.watching.watch(asked("", seen.id)) as watch:
        events = await until_ready(watch)
        assert isinstance(events[0], Reset)
        assert events[0].reason == "too old"
    await another.service.end_watches()


async def test_what_was_read_is_not_undone_by_what_the_feed_reports_later(
    logged: Watched, subtests: pytest.Subtests
) -> None:
    assert isinstance(logged.store, LoggedStore)
    for is_mute in (False, True):
        with subtests.test("ETags are not reported" if is_mute else "ETags are reported"):
            logged.store.is_mute = is_mute
            async with (
                logged.service.watching.watch(asked(values=True)) as watch,
                logged.service.watching.watch(asked()) as plain,
            ):
                await until_ready(watch)
                await until_ready(plain)
                logged.store.is_held = True
                await logged.set(f"a {is_mute}", b"1")
                await logged.delete(f"a {is_mute}")
                last = await logged.set(f"a {is_mute}", b"2")
                await asyncio.sleep(0.05)  # in which the feed takes them
                logged.store.is_held = False
                await logged.set(f"b {is_mute}")
                for each in (watch, plain):
                    events: list[WatchEvent] = []
                    while keys_in(events)[-1:] != [f"b {is_mute}"]:
                        events += await take(each, 1)
                    of_a = [
                        event for event in events if not (isinstance(event, Changed) and event.key == f"b {is_mute}")
                    ]
                    assert {(type(event), getattr(event, "etag", None)) for event in of_a} == {(Changed, last)}


class Seen:
    """What one client knows, and whether any event was older than what it knew."""

    def __init__(self, history: dict[str, list[str | None]], *, values: bool):
        self._history = history
        self.values = values
        self.known: dict[str, str] = {}
        self._at: dict[str, int] = {}
        self.resets = 0

    @property
    def expected(self) -> dict[str, str]:
        """What is stored at the end of the history."""
        return {key: states[-1] for key, states in self._history.items() if states[-1] is not None}

    def take(self, event: WatchEvent) -> None:
        if isinstance(event, Reset):
            self.known.clear()
            self.resets += 1
        elif isinstance(event, StateFound | Changed):
            said = event.value.decode() if self.values and event.value is not None else event.etag
            self._advance(event.key, said)
            self.known[event.key] = said
        elif isinstance(event, Deleted):
            self._advance(event.key, None)
            self.known.pop(event.key, None)

    def _advance(self, key: str, said: str | None) -> None:
        """Find what was said in the history of the key, at the earliest where the client was."""
        history, at = self._history[key], self._at.get(key, 0)
        self._at[key] = history.index(said, at)


@pytest.mark.parametrize("make", [WatchedStore, LoggedStore])
async def test_no_state_comes_after_a_newer_one(make: Callable[[], WatchedStore]) -> None:
    watched = Watched(make())
    await watched.store.open()
    watched.store.is_slow = True
    keys = [str(number) for number in range(20)]
    by_etag: dict[str, list[str | None]] = {key: [None] for key in keys}
    by_value: dict[str, list[str | None]] = {key: [None] for key in keys}
    is_over = asyncio.Event()
    clients = [Seen(by_value if values else by_etag, values=values) for values in (False, True) for _ in range(4)]

    async def write() -> None:
        for number in range(1500):
            key = random.choice(keys)
            if random.random() < 0.2:
                await watched.delete(key)
                by_value[key].append(None)
                by_etag[key].append(None)
            else:
                by_value[key].append(str(number))
                by_etag[key].append(await watched.set(key, str(number).encode()))
            if random.random() < 0.3:
                await asyncio.sleep(random.random() / 200)
            if random.random() < 0.003:
                watched.store.is_away = not watched.store.is_away
        watched.store.is_away = False
        is_over.set()

    async def follow(client: Seen, *, values: bool) -> None:
        since: str | None = None
        while True:
            try:
                async with watched.service.watching.watch(asked("", since, values=values)) as watch:
                    since = await see(client, watch)
            except Exception:  # it is away
                await asyncio.sleep(0.01)
                continue
            if since is None:
                return

    async def see(client: Seen, watch: Watch) -> str | None:
        """Take events until the client knows all in the end (None), or returns by chance: with an id, or empty."""
        while not (is_over.is_set() and client.known == client.expected):
            event = await anext(watch)
            client.take(event)
            if random.random() < 0.02:
                if random.random() < 0.5:
                    return event.id
                client.known.clear()
                return ""
        return None

    async with asyncio.timeout(120):
        following = [asyncio.create_task(follow(client, values=client.values)) for client in clients]
        await write()
        await asyncio.gather(*following)
    await watched.service.end_watches()
    await watched.store.close()
    assert watched.budget.held == 0
