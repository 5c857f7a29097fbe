"""Behind Sentinels the primary may be replaced at any time: acknowledged writes are kept, and none happens twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.eventually import eventually, until
from servers.load import Load
from servers.opened_redis import opened
from servers.processes import free_port
from servers.redis_server import MASTER_NAME, Watched, sentinel, single, watched_by_sentinels

from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores.redis.store import RedisStore


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with watched_by_sentinels(tmp_path, 2) as watched:
        yield watched


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Servers that no test breaks for good."""
    with watched_by_sentinels(tmp_path_factory.mktemp("calm")) as watched:
        yield watched


async def test_a_primary_killed_under_load_is_replaced_without_a_loss(watched: Watched) -> None:
    """Only strong writes are promised to survive: the others may not have reached a replica."""
    async with opened(watched.settings, dialTimeout=20.0, readTimeout=1.0) as store:
        async with Load(store, strong=True) as load:
            await load.goes_on(200)
            watched.primary.kill()
            await load.goes_on(200)
        assert watched.primary_port() != watched.primary.port
        await load.check(store)


async def test_a_primary_that_hangs_is_left_for_its_successor(watched: Watched) -> None:
    async with opened(watched.settings, readTimeout=0.5) as store:
        await store.set(Set("k", b"1", strong=True))
        watched.primary.pause()
        try:
            await eventually(lambda: store.set(Set("k", b"2")))
        finally:
            watched.primary.resume()
        await eventually(lambda: store.set(Set("k", b"3")))
        found = await store.get(Get("k"))
        assert found is not None
        assert found.value == b"3"
        with watched.current_primary().client() as client:
            assert client.hget("k", "data") == b"3"


async def test_a_planned_failover_is_followed(calm: Watched) -> None:
    before = calm.primary_port()
    async with opened(calm.settings, dialTimeout=20.0) as store:
        async with Load(store) as load:
            await load.goes_on(200)
            with calm.sentinels[0].client() as client:
                client.execute_command("SENTINEL FAILOVER", MASTER_NAME)
            await until(lambda: calm.primary_port() != before)
            await load.goes_on(200)
        await store.ping()


async def test_one_sentinel_that_answers_is_enough(calm: Watched) -> None:
    hangs, dead, _ = calm.sentinels
    hangs.pause()
    dead.kill()
    try:
        async with opened(calm.settings, dialTimeout=4.0) as store:
            await store.set(Set("k", b"1"))
    finally:
        hangs.resume()
        dead.start()


async def test_a_name_that_no_sentinel_knows_is_reported(calm: Watched) -> None:
    store = RedisStore({**calm.settings, "sentinelMasterName": "other"})
    with pytest.raises(StoreError, match="monitors no 'other'; set sentinelMasterName"):
        await store.open()


async def test_without_a_sentinel_the_error_says_what_each_address_answered() -> None:
    hosts = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    store = RedisStore({"redisHost": ",".join(hosts), "failover": True, "sentinelMasterName": "m"})
    with pytest.raises(StoreUnavailableError, match="no Sentinel names a primary") as caught:
        await store.open()
    assert all(host in str(caught.value) for host in hosts)


async def test_a_sentinel_that_asks_for_a_password_gets_its_own(tmp_path: Path) -> None:
    options = ("--requirepass", "data")
    with single(tmp_path / "primary", *options, client={"password": "data"}) as primary:
        lines = (f"sentinel monitor m 127.0.0.1 {primary.port} 1", "sentinel auth-pass m data", "requirepass watch")
        with sentinel(tmp_path / "sentinel", *lines, client={"password": "watch"}) as watching:
            settings = {**watching.settings, "failover": True, "sentinelMasterName": "m", "redisPassword": "data"}
            async with opened(settings, sentinelPassword="watch") as store:
                await store.set(Set("k", b"1"))
            with pytest.raises(StoreRefusedError, match="sentinelPassword"):
                await RedisStore({**settings, "sentinelPassword": "wrong"}).open()
