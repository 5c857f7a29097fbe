"""The watch of an etcd: what is reported through restarts, cuts, partitions and compactions, with an etcd whose watches
say how far they are, and with one whose watches cannot be believed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from conformance.feeds import Followed, end_of, followed, last_position, reported
from servers.cutting_proxy import CuttingProxy
from servers.etcd_server import EtcdServer, cluster, in_base64, running
from servers.eventually import eventually, until

from pannier_sidecar.state.errors import StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.feeds import Alive, Gap, KeyChange
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Store
from pannier_sidecar.stores.etcd.watch import answers_behind_events


@pytest.fixture(params=[False, True], ids=["debian", "new"])
def is_new(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def etcd(tmp_path: Path, is_new: bool) -> Iterator[EtcdServer]:
    with running(tmp_path / "etcd", is_new=is_new) as server:
        yield server


Opening = Callable[..., Any]


@pytest.fixture
async def store(etcd: EtcdServer, open_store: Opening) -> Store:
    return await open_store(endpoints=etcd.address, timeout=5.0)


@asynccontextmanager
async def following(store: Store, since: str | None = None) -> AsyncIterator[Followed]:
    async with followed(store, "app||", since) as feed:
        yield feed


async def test_a_feed_ends_with_its_server_and_the_next_goes_on_where_it_was(etcd: EtcdServer, store: Store) -> None:
    async with following(store) as feed:
        await store.set(Set("app||before", b"1"))
        await feed.until_now()
        etcd.kill()
        assert isinstance(await end_of(feed), StoreUnavailableError)
    await asyncio.to_thread(etcd.start)
    await eventually(lambda: store.set(Set("app||meanwhile", b"1")))
    await store.delete(Delete("app||before"))
    async with following(store, last_position(feed)) as later:
        await later.until_now()
        assert not later.has_gap
        assert reported(later) == [("app||meanwhile", True), ("app||before", False)]


async def test_a_paused_server_ends_a_feed_in_time(etcd: EtcdServer, open_store: Opening) -> None:
    store = await open_store(endpoints=etcd.address, timeout=1.0)
    async with following(store) as feed:
        await feed.until_now()
        etcd.pause()
        try:
            assert "did not answer within 1 s" in str(await end_of(feed))
        finally:
            etcd.resume()


async def test_a_connection_that_is_cut_or_falls_silent_ends_a_feed(etcd: EtcdServer, open_store: Opening) -> None:
    async with CuttingProxy(etcd.port) as proxy:
        store = await open_store(endpoints=proxy.address, timeout=1.0)
        async with following(store) as feed:
            await proxy.end_all()
            assert isinstance(await end_of(feed), StoreUnavailableError)
        await eventually(lambda: store.set(Set("app||a", b"1")))
        async with following(store) as feed:
            proxy.is_silent = True
            assert isinstance(await end_of(feed), StoreUnavailableError)
        proxy.is_silent = False


async def test_a_server_that_ends_its_streams_ends_a_feed(etcd: EtcdServer, store: Store) -> None:
    async with following(store) as feed:
        await asyncio.to_thread(etcd.stop)
        assert isinstance(await end_of(feed), StoreUnavailableError)


async def test_a_member_without_the_others_is_not_believed(tmp_path: Path, is_new: bool, open_store: Opening) -> None:
    with cluster(tmp_path, is_new=is_new) as members:
        store = await open_store(endpoints=members[0].address, timeout=2.0)
        async with following(store) as feed:
            await feed.until_now()
            for other in members[1:]:
                other.pause()
            known = len(feed.entries)
            await end_of(feed)
            assert len([entry for entry in feed.entries[known:] if isinstance(entry, Alive)]) <= 1  # had been asked for
            for other in members[1:]:
                other.resume()
        await eventually(lambda: store.set(Set("app||a", b"1")))
        async with following(store, last_position(feed)) as later:
            await later.until_now()
            assert reported(later) == [("app||a", True)]


async def test_compacted_positions_are_a_gap(etcd: EtcdServer, store: Store) -> None:
    async with following(store) as feed:
        await store.set(Set("app||a", b"1"))
        await feed.until_now()
    await store.set(Set("app||b", b"1"))
    await store.delete(Delete("app||b"))
    compact(etcd, await revision(store))
    async with following(store, last_position(feed)) as later:
        assert isinstance(later.entries[0], Gap)
        assert "compacted" in later.entries[0].reason
        await store.set(Set("app||c", b"1"))
        await later.until_now()
        assert reported(later) == [("app||c", True)]


async def test_a_feed_goes_on_through_compactions(etcd: EtcdServer, store: Store) -> None:
    async with following(store) as feed:
        for number in range(5):
            await store.set(Set("app||a", b"1"))
            await store.set(Set("other||a", b"1"))
            compact(etcd, await revision(store))
            await feed.until_now()
            await store.set(Set(f"app||{number}", b"1"))
            await feed.until_now()
        keys = {key for key, _ in reported(feed)}
        assert keys == {"app||a", *(f"app||{number}" for number in range(5))} or feed.has_gap


async def revision(store: Store) -> int:
    await store.set(Set("other||last", b"1"))
    found = await store.get(Get("other||last"))
    assert found is not None
    return int(found.etag)


def compact(etcd: EtcdServer, revision: int) -> None:
    etcd.call("kv/compaction", {"revision": str(revision), "physical": True})


async def test_positions_of_lost_data_and_of_other_clusters_are_gaps(
    tmp_path: Path, etcd: EtcdServer, store: Store, open_store: Opening, is_new: bool
) -> None:
    async with following(store) as feed:
        for _ in range(5):
            await store.set(Set("app||a", b"1"))
        await feed.until_now()
    etcd.stop()
    (etcd.folder / "data").rename(etcd.folder / "lost")
    await asyncio.to_thread(etcd.start)
    await eventually(store.ping)
    async with following(store, last_position(feed)) as later:
        assert isinstance(later.entries[0], Gap)
    with running(tmp_path / "other", is_new=is_new) as other:
        elsewhere = await open_store(endpoints=other.address)
        for _ in range(10):
            await elsewhere.set(Set("app||a", b"1"))
        async with following(elsewhere, last_position(feed)) as later:
            assert isinstance(later.entries[0], Gap)
        await elsewhere.close()


async def test_a_feed_goes_on_after_each_change_of_a_transaction(store: Store) -> None:
    async with following(store) as feed:
        await store.transact([Set(f"app||{number}", b"1") for number in range(5)])
        await store.set(Set("app||last", b"1"))
        await feed.until_now()
    changes = [entry for entry in feed.entries if isinstance(entry, KeyChange)]
    assert len(changes) == 6
    for number, change in enumerate(changes):
        async with following(store, change.position) as later:
            await later.until_now()
            keys = [key for key, _ in reported(later)]
            assert keys[-(5 - number) :] == [each.key for each in changes[number + 1 :]] or not keys
            assert len(keys) == {4: 1, 5: 0}.get(number, 6)  # whole revisions are sent again


async def test_what_etcd_lets_expire_is_reported(store: Store) -> None:
    async with following(store) as feed:
        await store.bulk_write([Set(f"app||{number}", b"1", ttl=1) for number in range(10)])
        await feed.until(lambda _: len(reported(feed)) >= 20)
        assert {key for key, is_there in reported(feed) if not is_there} == {f"app||{number}" for number in range(10)}


async def test_large_values_are_never_held_together(store: Store) -> None:
    async with following(store) as feed:
        for _ in range(3):
            await store.bulk_write([Set(f"app||{number}", bytes(1_000_000)) for number in range(20)])
        await feed.until_now()
        assert len({key for key, _ in reported(feed)}) == 20
        assert not feed.has_gap


async def test_a_user_without_rights_is_told_which(tmp_path: Path, is_new: bool, open_store: Opening) -> None:
    with running(tmp_path / "etcd", "--auth-token-ttl=2", is_new=is_new) as server:
        for name in ("root", "shop"):
            server.call("auth/user/add", {"name": name, "password": "canary-right"})
            server.call("auth/role/add", {"name": name})
            server.call("auth/user/grant", {"user": name, "role": name})
        permission = {"permType": "READWRITE", "key": in_base64(b"shop/"), "range_end": in_base64(b"shop0")}
        server.call("auth/role/grant", {"name": "shop", "perm": permission})
        server.call("auth/enable", {})
        store = await open_store(
            endpoints=server.address, keyPrefixPath="shop", username="shop", password="canary-right"
        )
        async with following(store) as feed:
            await asyncio.sleep(4)  # longer than a token lives
            await store.set(Set("app||a", b"1"))
            await feed.until_now()
            assert reported(feed) == [("app||a", True)]
        token = server.call("auth/authenticate", {"name": "root", "password": "canary-right"})["token"]
        rights = {"role": "shop", "key": in_base64(b"shop/"), "range_end": in_base64(b"shop0")}
        server.call("auth/role/revoke", rights, token)
        with pytest.raises(StoreRefusedError, match="grant its role read and write on the keys of keyPrefixPath"):
            async with following(store):
                pass
        await store.close()


async def test_closing_a_feed_ends_its_watch_at_the_server(etcd: EtcdServer, store: Store) -> None:
    for _ in range(3):
        async with following(store) as feed:
            await feed.until_now()
    await until(lambda: watchers(etcd) == 0)


def watchers(etcd: EtcdServer) -> int:
    [line] = [line for line in etcd.metrics().splitlines() if line.startswith("etcd_debugging_mvcc_watcher_total ")]
    return int(float(line.split()[1]))


def test_versions_whose_watches_are_believed() -> None:
    believed = ("3.4.31", "3.4.40", "3.5.13", "3.5.35", "3.6.0", "3.6.16", "3.7.0", "4.0.0", "3.6.0-rc.1")
    others = ("3.4.23", "3.4.30", "3.5.0", "3.5.12", "3.3.99", "2.9.9", "", "x", "3.6", "3.6.x", "3.5.²", "9" * 5000)
    assert [answers_behind_events(version) for version in believed] == [True] * len(believed)
    assert [answers_behind_events(version) for version in others] == [False] * len(others)
