"""A watch yields the state of the app's own keys, and then what changes, once and in order."""

import asyncio

import pytest
from unit.pannier_sidecar.watching.watched_store import Watched, asked, take, until_ready

from pannier_sidecar.state import watch as one_watch
from pannier_sidecar.state import watch_buffer, watching
from pannier_sidecar.state.directory import Directory
from pannier_sidecar.state.errors import MalformedRequestError, OperationFailedError, StoreNotFoundError
from pannier_sidecar.state.errors.of_watches import TooManyWatchesError, WatchNotSupportedError
from pannier_sidecar.state.feeds import ChangesBy
from pannier_sidecar.state.requests import Set
from pannier_sidecar.state.watch_events import Beat, Changed, Deleted, Ready, Reset, StateFound, WatchEvent


def without_ids(events: list[WatchEvent]) -> list[object]:
    """Return what the events say, by their kinds."""
    said: list[object] = []
    for event in events:
        if isinstance(event, StateFound | Changed):
            said.append((type(event).__name__, event.key, event.etag, event.value))
        elif isinstance(event, Deleted):
            said.append(("Deleted", event.key))
        else:
            said.append(type(event).__name__)
    return said


async def test_first_the_state_then_the_changes(watched: Watched, subtests: pytest.Subtests) -> None:
    for is_mute in (False, True):
        with subtests.test("ETags are not reported" if is_mute else "ETags are reported"):
            watched.store.is_mute = is_mute
            before = await watched.set("a/1", b"old")
            await watched.set("b/1", b"other prefix")
            async with watched.service.watching.watch(asked("a/")) as watch:
                first = await until_ready(watch)
                assert without_ids(first) == [("StateFound", "a/1", before, None), "Ready"]
                after = await watched.set("a/1", b"new")
                assert without_ids(await take(watch, 1)) == [("Changed", "a/1", after, None)]
                await watched.set("b/2")
                await watched.delete("a/1")
                assert without_ids(await take(watch, 1)) == [("Deleted", "a/1")]


async def test_values_come_with_the_events_if_asked_for(watched: Watched) -> None:
    before = await watched.set("a", b"old")
    async with watched.service.watching.watch(asked(values=True)) as watch:
        assert without_ids(await until_ready(watch)) == [("StateFound", "a", before, b"old"), "Ready"]
        await watched.store.set(Set("app||a", b"new", ttl=1000))
        [changed] = await take(watch, 1)
        assert isinstance(changed, Changed)
        assert (changed.key, changed.value) == ("a", b"new")
        assert changed.expires_at is not None


async def test_keys_of_actors_and_of_other_apps_are_not_watched(watched: Watched) -> None:
    foreign = ("app||Type||id||a", "other||a", "app2||a")
    for key in foreign:
        await watched.store.set(Set(key, b"1"))
    async with watched.service.watching.watch(asked()) as watch:
        assert without_ids(await until_ready(watch)) == ["Ready"]
        for key in foreign:
            await watched.store.set(Set(key, b"2"))
        await watched.set("own")
        [changed] = await take(watch, 1)
        assert isinstance(changed, Changed)
        assert changed.key == "own"


async def test_all_watches_share_one_feed_and_the_reads(watched: Watched) -> None:
    async with asyncio.timeout(60), watched.service.watching.watch(asked(values=True)) as first:
        await until_ready(first)
        others = [watched.service.watching.watch(asked(values=True)) for _ in range(100)]
        watches = [first, *[await other.__aenter__() for other in others]]
        for watch in watches[1:]:
            await until_ready(watch)
        reads = watched.store.reads
        await watched.set("a")
        for watch in watches:
            assert [type(event) for event in await take(watch, 1)] == [Changed]
        assert watched.store.reads == reads + 1
        assert watched.store.feeds_begun == 1
        for other in others:
            await other.__aexit__(None, None, None)
        assert watched.store.feeds_open == 1


async def test_the_feed_ends_some_time_after_the_last_watch(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LINGER_S", 0.01)
    for _ in range(2):
        async with watched.service.watching.watch(asked()) as watch:
            await until_ready(watch)
        async with asyncio.timeout(60):
            while watched.store.feeds_open:
                await asyncio.sleep(0.005)


async def test_a_client_that_returns_gets_what_it_has_missed(watched: Watched, subtests: pytest.Subtests) -> None:
    async with watched.service.watching.watch(asked()) as watch:
        [ready] = await until_ready(watch)
        await watched.set("a")
        [changed] = await take(watch, 1)
    later = await watched.set("a")
    await watched.set("gone")
    await watched.delete("gone")
    for values in (False, True):
        with subtests.test(f"values {values}"):
            async with watched.service.watching.watch(asked("", changed.id, values=values)) as watch:
                events = await take(watch, 3)
                value = b"1" if values else None
                assert without_ids(events) == ["Ready", ("Changed", "a", later, value), ("Deleted", "gone")]
    async with watched.service.watching.watch(asked("", events[-1].id)) as watch:
        await watched.set("last")
        assert [type(event) for event in await take(watch, 2)] == [Ready, Changed]
    assert isinstance(ready, Ready)


async def test_an_id_that_is_not_known_any_more_begins_again(watched: Watched, subtests: pytest.Subtests) -> None:
    await watched.set("a")
    async with watched.service.watching.watch(asked()) as watch:
        found, ready = await until_ready(watch)
        for since in ("0123abcd.5", f"{ready.id}9", found.id):
            with subtests.test(since), pytest.MonkeyPatch().context():
                async with watched.service.watching.watch(asked("", since)) as other:
                    assert [type(event) for event in await until_ready(other)] == [Reset, StateFound, Ready]


async def test_what_is_no_id_is_refused(watched: Watched, subtests: pytest.Subtests) -> None:
    for since in (
        "x",
        "1",
        "0123abcd",
        "0123abcd.",
        "0123abcd.-1",
        "0123ABCD.1",
        "0123abcd.1@ü",
        "0123abcd.1@a",
        "1" * 3000,
    ):
        with subtests.test(since[:20]), pytest.raises(MalformedRequestError, match="send the id of the last event"):
            async with watched.service.watching.watch(asked("", since)):
                pass


async def test_a_slow_watch_begins_again(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_buffer, "MAX_KEYS", 10)
    async with watched.service.watching.watch(asked()) as watch:
        await until_ready(watch)
        async with watched.service.watching.watch(asked()) as quick:
            await until_ready(quick)
            for number in range(11):
                await watched.set(str(number))
            await take(quick, 11)
            await watched.set("0")
            await take(quick, 1)
        events = await until_ready(watch)
        assert isinstance(events[0], Reset)
        assert events[0].reason == one_watch.TOO_SLOW
        assert {event.key for event in events[1:-1] if isinstance(event, StateFound)} == {*map(str, range(11))}


async def test_values_that_do_not_fit_are_read_again(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_buffer, "MAX_BYTES", 100)
    async with watched.service.watching.watch(asked(values=True)) as watch:
        await until_ready(watch)
        async with watched.service.watching.watch(asked()) as quick:
            await until_ready(quick)
            for number in range(30):
                await watched.set(str(number), b"x" * 50)
            await take(quick, 30)
        assert watched.budget.held < 30 * (watch_buffer.KEY_BYTES + 10) + 100
        events = await take(watch, 30)
    assert {(event.key, event.value) for event in events if isinstance(event, Changed)} == {
        (str(number), b"x" * 50) for number in range(30)
    }


async def test_a_beat_comes_while_nothing_happens(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_watch, "BEAT_S", 0.05)
    async with watched.service.watching.watch(asked()) as watch:
        await until_ready(watch)
        beat = await anext(watch)
        assert isinstance(beat, Beat)
        assert beat.late == 0
    await watched.set("a")
    async with watched.service.watching.watch(asked("", beat.id)) as watch:
        assert [type(event) for event in await take(watch, 2)] == [Ready, Changed]


async def test_watches_are_limited(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MAX_WATCHES", 1)
    async with watched.service.watching.watch(asked()):
        with pytest.raises(TooManyWatchesError) as raised:
            async with watched.service.watching.watch(asked()):
                pass
        assert (raised.value.http_status, raised.value.retry_after) == (429, 10)
    async with watched.service.watching.watch(asked()):
        pass


async def test_a_store_without_changes_cannot_be_watched(watched: Watched) -> None:
    watched.store.changes_by = ChangesBy.NONE
    with pytest.raises(WatchNotSupportedError, match="can't be watched"):
        async with watched.service.watching.watch(asked()):
            pass


async def test_a_store_that_is_away_is_reported_before_anything_is_answered(watched: Watched) -> None:
    watched.store.is_away = True
    with pytest.raises(OperationFailedError, match="the server is away") as raised:
        async with watched.service.watching.watch(asked()):
            pass
    assert raised.value.http_status == 503


async def test_a_watch_ends_when_it_is_closed_or_its_store_is_removed(watched: Watched) -> None:
    async with asyncio.timeout(60):
        async with watched.service.watching.watch(asked()) as watch:
            await until_ready(watch)
            waiting = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(0)
            await watch.aclose()
            with pytest.raises(StopAsyncIteration):
                await waiting
        async with watched.service.watching.watch(asked()) as watch:
            await until_ready(watch)
            watched.service.serve(Directory("app", []))
            with pytest.raises(StoreNotFoundError):
                await anext(watch)
        watched.service.serve(Directory("app", [watched.served]))
        async with watched.service.watching.watch(asked()) as watch:
            await until_ready(watch)
            waiting = asyncio.ensure_future(anext(watch))
            await watched.service.end_watches()
            with pytest.raises(StopAsyncIteration):
                await waiting
    assert watched.store.feeds_open == 0
