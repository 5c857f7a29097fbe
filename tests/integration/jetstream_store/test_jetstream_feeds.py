"""What is reported of a bucket through restarts, silence, cuts and expiries, and for which buckets it can be."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from conformance.feeds import Followed, end_of, followed, last_position, reported
from servers.cutting_proxy import CuttingProxy
from servers.eventually import eventually, until
from servers.jetstream_server import BUCKET, JetStreamServer, running, with_bucket

from pannier_sidecar.state.errors import StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.feeds import ChangesBy, Gap, KeyChange
from pannier_sidecar.state.requests import Delete, Set
from pannier_sidecar.stores.jetstream.store import JetStreamStore

pytestmark = pytest.mark.over("jetstream")

SECOND = 1_000_000_000
MARKERS: dict[str, Any] = {"subject_delete_marker_ttl": 60 * SECOND}
USERS = """
authorization {{ users = [
  {{user: all, password: canary}}
  {{user: some, password: some, permissions: {{publish: [{publish}], subscribe: ["_INBOX.>"]}}}}
] }}
"""
STREAM = f"KV_{BUCKET}"
OF_STORE = (f"$KV.{BUCKET}.>", f"$JS.API.STREAM.INFO.{STREAM}", f"$JS.API.STREAM.MSG.GET.{STREAM}")
OF_FEED = tuple(f"$JS.API.CONSUMER.{call}.{STREAM}" for call in ("CREATE", "MSG.NEXT", "DELETE"))


@asynccontextmanager
async def opened(url: str, timeout: float = 5.0) -> AsyncIterator[JetStreamStore]:
    store = JetStreamStore({"natsURL": url, "bucket": BUCKET, "timeout": timeout})
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def test_which_buckets_report_changes(tmp_path: Path, subtests: pytest.Subtests) -> None:
    cases: list[tuple[dict[str, Any], ChangesBy]] = [
        ({}, ChangesBy.POLL),  # keys may expire, and nothing would show it
        (MARKERS, ChangesBy.PUSH),
        ({"subject_delete_marker_ttl": 9 * SECOND}, ChangesBy.POLL),
        ({"allow_msg_ttl": False}, ChangesBy.PUSH),
        ({"allow_msg_ttl": False, "max_age": 3600 * SECOND}, ChangesBy.POLL),
        ({"allow_msg_ttl": False, "discard": "old"}, ChangesBy.PUSH),
        ({"allow_msg_ttl": False, "discard": "old", "max_bytes": 1 << 20}, ChangesBy.POLL),
    ]
    with running(tmp_path) as server:
        for config, expected in cases:
            with subtests.test(str(config)):
                server.make_bucket(**config)
                async with opened(server.url) as store:
                    assert store.changes_by is expected
                    async with followed(store, "a||") as feed:
                        await store.set(Set("a||k", b"1"))
                        await feed.until_now()
                        await store.delete(Delete("a||k"))
                        await feed.until_now()
                        assert reported(feed) == [("a||k", True), ("a||k", False)]
            server.ask(f"$JS.API.STREAM.DELETE.{STREAM}")


async def test_a_feed_ends_with_its_server_and_the_next_goes_on_where_it_was(tmp_path: Path) -> None:
    with with_bucket(tmp_path, **MARKERS) as server:
        async with opened(server.url) as store:
            async with followed(store, "a||") as feed:
                await store.set(Set("a||before", b"1"))
                await feed.until_now()
                server.kill()
                assert isinstance(await end_of(feed), StoreUnavailableError)
            await asyncio.to_thread(server.start)
            await eventually(lambda: store.set(Set("a||meanwhile", b"1")))
            await store.delete(Delete("a||before"))
            await store.set(Set("b||other", b"1"))
            async with followed(store, "a||", last_position(feed)) as later:
                await later.until_now()
                assert not later.has_gap
                assert reported(later) == [("a||meanwhile", True), ("a||before", False)]


async def test_a_feed_goes_on_after_each_change(tmp_path: Path) -> None:
    with with_bucket(tmp_path, **MARKERS) as server:
        async with opened(server.url) as store, followed(store, "a||") as feed:
            for number in range(5):
                await store.set(Set(f"a||{number}", b"1"))
            await feed.until_now()
            changes = [entry for entry in feed.entries if isinstance(entry, KeyChange)]
            for number, change in enumerate(changes):
                async with followed(store, "a||", change.position) as later:
                    await later.until_now()
                    assert reported(later) == [(f"a||{following}", True) for following in range(number + 1, 5)]


async def test_positions_that_the_bucket_has_forgotten_are_gaps(tmp_path: Path) -> None:
    with with_bucket(tmp_path, **MARKERS) as server:
        async with opened(server.url) as store:
            async with followed(store, "a||") as feed:
                await store.set(Set("a||k", b"1"))
                await feed.until_now()
            created, number, time = last_position(feed).split("-")
            for position in (
                f"{created}-{number}-{int(time) - 61}",
                f"{created}-{number}-{int(time) + 1000}",
                f"{created}-{int(number) + 1}-{time}",
                f"1{created[1:]}-{number}-{time}",
            ):
                async with followed(store, "a||", position) as later:
                    assert isinstance(later.entries[0], Gap)
            server.ask(f"$JS.API.STREAM.DELETE.{STREAM}")
            server.make_bucket(**MARKERS)
            async with followed(store, "a||", last_position(feed)) as later:
                assert isinstance(later.entries[0], Gap)


async def test_changes_that_are_taken_too_late_are_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pannier_sidecar.stores.jetstream.feed._MAX_MARKER_S", 0.5)
    with with_bucket(tmp_path, **MARKERS) as server:
        async with opened(server.url) as store, followed(store, "a||") as feed:
            await asyncio.sleep(0.6)
            await feed.until_now()
            assert feed.has_gap


async def test_silence_and_cuts_end_a_feed(tmp_path: Path) -> None:
    with with_bucket(tmp_path, **MARKERS) as server:
        async with CuttingProxy(server.port) as proxy, opened(f"nats://{proxy.address}", 1.0) as store:
            async with followed(store, "a||") as feed:
                await proxy.end_all()
                assert isinstance(await end_of(feed), StoreUnavailableError)
            await eventually(store.ping)
            async with followed(store, "a||") as feed:
                proxy.is_silent = True
                assert isinstance(await end_of(feed), StoreUnavailableError)


async def test_a_paused_server_ends_a_feed_in_time(tmp_path: Path) -> None:
    with with_bucket(tmp_path, **MARKERS) as server:
        async with opened(server.url, 1.0) as store, followed(store, "a||") as feed:
            server.pause()
            assert "did not answer within 1 s" in str(await end_of(feed))
            server.resume()


async def test_a_bucket_that_is_removed_ends_a_feed(tmp_path: Path) -> None:
    with with_bucket(tmp_path, **MARKERS) as server:
        async with opened(server.url) as store, followed(store, "a||") as feed:
            server.ask(f"$JS.API.STREAM.DELETE.{STREAM}")
            await end_of(feed)


async def test_a_consumer_that_is_removed_ends_a_feed(tmp_path: Path) -> None:
    with with_bucket(tmp_path, **MARKERS) as server:
        async with opened(server.url) as store, followed(store, "a||") as feed:
            [name] = consumers(server)
            await feed.until_now()
            server.ask(f"$JS.API.CONSUMER.DELETE.{STREAM}.{name}")
            await store.set(Set("a||k", b"1"))
            assert isinstance(await end_of(feed), StoreUnavailableError)


async def test_closing_a_feed_removes_its_consumer(tmp_path: Path) -> None:
    with with_bucket(tmp_path, **MARKERS) as server:
        async with opened(server.url) as store:
            async with followed(store, "a||"):
                assert len(consumers(server)) == 1
            await until(lambda: not consumers(server))


def consumers(server: JetStreamServer) -> list[str]:
    return server.ask(f"$JS.API.CONSUMER.NAMES.{STREAM}").get("consumers") or []


async def test_what_the_server_lets_expire_is_reported(tmp_path: Path) -> None:
    with with_bucket(tmp_path, **MARKERS) as server:
        async with opened(server.url) as store, followed(store, "a||") as feed:
            await store.bulk_write([Set(f"a||{number}", b"1", ttl=1) for number in range(10)])
            await feed.until(lambda _: len(reported(feed)) >= 20)
            assert sorted(reported(feed)) == sorted(
                (f"a||{number}", each) for number in range(10) for each in (True, False)
            )


async def test_many_changes_with_large_values_come_without_them(tmp_path: Path) -> None:
    with with_bucket(tmp_path, **MARKERS) as server:
        async with CuttingProxy(server.port) as proxy:
            async with opened(server.url) as writer, opened(f"nats://{proxy.address}") as store:
                async with followed(store, "a||") as feed:
                    for _ in range(3):
                        await writer.bulk_write([Set(f"a||{number}", bytes(100_000)) for number in range(300)])
                    await feed.until_now()
                    assert {key for key, _ in reported(feed)} == {f"a||{number}" for number in range(300)}


async def test_a_user_with_too_few_rights_is_told_which(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for number, lacking in enumerate((*OF_FEED[:2], None)):
        with subtests.test(str(lacking)):
            every = (*OF_STORE, OF_FEED[0], *(f"{each}.>" for each in OF_FEED[1:]))
            rights = [each for each in every if lacking is None or not each.startswith(lacking)]
            users = USERS.format(publish=", ".join(map(json.dumps, rights)))
            folder = tmp_path / str(number)
            with running(folder, users, {"user": "all", "pass": "canary"}) as server:
                server.make_bucket(**MARKERS)
                async with opened(f"nats://some:some@{server.address}") as store:
                    if lacking is None:
                        async with followed(store, "a||") as feed:
                            await feed.until_now()
                        continue
                    feed = Followed(store, "a||")
                    error = await end_of(feed)
                    assert isinstance(error, StoreRefusedError)
                    assert "may not publish to $JS.API.CONSUMER." in str(error)
                    assert "canary" not in str(error)


async def test_debians_server_reports_changes_too(tmp_path: Path) -> None:
    with with_bucket(tmp_path, is_debians=True) as server:
        async with opened(server.url) as store, followed(store, "a||") as feed:
            assert store.changes_by is ChangesBy.PUSH
            await store.set(Set("a||k", b"1"))
            await store.delete(Delete("a||k"))
            await feed.until_now()
            assert reported(feed)[-1] == ("a||k", False)
            async with followed(store, "a||", last_position(feed)) as later:
                await later.until_now()
