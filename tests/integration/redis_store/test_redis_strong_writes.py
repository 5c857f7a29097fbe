"""`consistency: strong` waits for the replicas, and says so if they do not acknowledge."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic

import pytest
from servers.eventually import eventually, until
from servers.opened_redis import opened
from servers.redis_server import RedisServer, single, with_replica

from pannier_sidecar.state.errors import ETagMismatchError, StoreUnavailableError, TooFewReplicasError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.redis.replicas import MISSED_S
from pannier_sidecar.stores.redis.store import RedisStore

Pair = tuple[RedisServer, RedisServer]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with with_replica(tmp_path) as pair:
        yield pair
        pair[1].resume()


async def test_a_strong_write_is_on_the_replica_when_it_returns(pair: Pair) -> None:
    primary, replica = pair
    async with opened(primary.settings) as store:
        with replica.client() as client:
            for n in range(50):
                await eventually(partial(store.set, Set("k", b"%d" % n, strong=True)))
                assert client.hget("k", "data") == b"%d" % n
            await eventually(lambda: store.transact([Set("t", b"1", strong=True), Delete("k")]))
            assert client.keys() == [b"t"]
            await eventually(lambda: store.delete(Delete("t", strong=True)))
            assert client.keys() == []


async def test_a_user_without_the_right_to_wait_gets_our_message(pair: Pair) -> None:
    """Redis's message names the user, and the name may come from a secret."""
    primary, _ = pair
    with primary.client() as client:
        client.execute_command("ACL SETUSER", "c4nary", "on", ">pw", "~*", "+@all", "-wait")
    async with opened(primary.settings, redisUsername="c4nary", redisPassword="pw") as store:
        with pytest.raises(TooFewReplicasError, match="this user may not run the 'wait' command") as caught:
            await store.set(Set("k", b"1", strong=True))
        assert "c4nary" not in str(caught.value)


async def test_too_few_acknowledgements_are_reported_with_numbers(pair: Pair) -> None:
    primary, replica = pair
    async with opened(primary.settings) as store:
        await eventually(lambda: store.set(Set("k", b"1", strong=True)))
        replica.pause()
        with pytest.raises(
            TooFewReplicasError, match="on the primary, but only 0 of 1 replicas acknowledged it within 1 s"
        ):
            await store.set(Set("k", b"2", strong=True))
        with pytest.raises(TooFewReplicasError):
            await store.delete(Delete("absent", strong=True))
        with pytest.raises(ETagMismatchError):
            await store.set(Set("k", b"3", if_match="1", strong=True))
        found = await store.get(Get("k", strong=True))
        assert found is not None
        assert found.value == b"2"
        replica.resume()
        await eventually(lambda: store.set(Set("k", b"4", strong=True)))


async def test_calls_that_are_not_strong_do_not_wait_for_those_that_are(pair: Pair) -> None:
    primary, replica = pair
    async with opened(primary.settings) as store:
        await eventually(lambda: store.set(Set("k", b"1", strong=True)))
        replica.pause()
        strong = [asyncio.create_task(store.set(Set(f"s{n}", b"1", strong=True))) for n in range(20)]
        await asyncio.sleep(0.05)
        for n in range(100):
            await store.set(Set("k", b"%d" % n))
            await store.get(Get("k"))
        assert not any(task.done() for task in strong)
        started = monotonic()
        results = await asyncio.gather(*strong, return_exceptions=True)
        assert all(isinstance(result, TooFewReplicasError) for result in results)
        assert monotonic() - started < 10  # they share a wait instead of waiting one after another


async def test_a_replica_that_has_gone_is_missed(pair: Pair) -> None:
    primary, replica = pair
    async with opened(primary.settings) as store:
        await eventually(lambda: store.set(Set("k", b"1", strong=True)))
        replica.kill()
        with pytest.raises((TooFewReplicasError, StoreUnavailableError)):
            await store.set(Set("k", b"2", strong=True))
        with pytest.raises(StoreUnavailableError, match="only 0 of 1 replicas follow .* nothing was written"):
            await store.set(Set("k", b"3", strong=True))
        found = await store.get(Get("k"))
        assert found is not None
        assert found.value != b"3"
        await asyncio.to_thread(replica.start)
        await eventually(lambda: store.set(Set("k", b"4", strong=True)))


async def test_a_server_that_was_restarted_is_still_expected_to_have_its_replica(pair: Pair) -> None:
    primary, replica = pair
    async with opened(primary.settings) as store:
        await eventually(lambda: store.set(Set("k", b"1", strong=True)))
        replica.kill()
        primary.kill()
        await asyncio.to_thread(primary.start)
        await eventually(lambda: store.set(Set("k", b"2")))
        with pytest.raises(StoreUnavailableError, match="only 0 of 1 replicas follow .* restart the sidecar"):
            await store.set(Set("k", b"3", strong=True))
        await asyncio.to_thread(replica.start)
        await eventually(lambda: store.set(Set("k", b"4", strong=True)))


async def test_a_replica_that_has_just_connected_does_not_acknowledge_for_another_one(
    pair: Pair, tmp_path: Path
) -> None:
    primary, lagging = pair
    with single(tmp_path / "returning") as returning, returning.client() as client:
        async with opened(primary.settings) as store:
            await eventually(lambda: store.set(Set("k", b"1", strong=True)))  # now the store knows of one replica
            client.replicaof("127.0.0.1", primary.port)
            await until(lambda: is_followed_by(primary, 2))
            lagging.pause()
            with pytest.raises(TooFewReplicasError, match="of 2 replicas acknowledged"):
                await store.set(Set("k", b"2", strong=True))
            lagging.resume()
            await eventually(lambda: store.set(Set("k", b"3", strong=True)))


async def test_a_new_replica_does_not_make_up_for_one_that_was_promoted(pair: Pair, tmp_path: Path) -> None:
    primary, promoted = pair
    with single(tmp_path / "returning") as returning, returning.client() as client, promoted.client() as other:
        async with opened(primary.settings) as store:
            await eventually(lambda: store.set(Set("k", b"1", strong=True)))
            other.replicaof("NO", "ONE")
            client.replicaof("127.0.0.1", primary.port)
            await until(lambda: is_followed_by(primary, 1))
            with pytest.raises(StoreUnavailableError, match="only 1 of 2 replicas"):
                await eventually_refused(store)


async def eventually_refused(store: RedisStore) -> None:
    """Write until the store has counted the replicas again."""
    async with asyncio.timeout(10):
        while True:
            with suppress(TooFewReplicasError):
                await store.set(Set("k", b"2", strong=True))


def is_followed_by(primary: RedisServer, replicas: int) -> bool:
    with primary.client() as client:
        return bool(client.wait(replicas, 100) == replicas)


async def test_without_replicas_the_primary_is_all_there_is(tmp_path: Path) -> None:
    with single(tmp_path) as server:
        async with opened(server.settings) as store:
            await eventually(lambda: store.set(Set("k", b"1", strong=True)))
            results = await store.bulk_write([Set("a", b"1", strong=True), Set("b", b"1", if_match="1", strong=True)])
            assert results[0] is None
            assert isinstance(results[1], ETagMismatchError)


async def test_a_replica_that_comes_back_at_another_address_soon_counts(tmp_path: Path) -> None:
    with with_replica(tmp_path) as (primary, replica):
        async with opened(primary.settings) as store:
            await eventually(lambda: store.set(Set("k", b"1", strong=True)))
            replica.stop()
            with pytest.raises(StoreUnavailableError, match="only 0 of 1 replicas"):
                await eventually_refused(store)
            with single(tmp_path / "moved", "--replicaof", "127.0.0.1", str(primary.port)) as moved:
                await eventually(lambda: store.set(Set("k", b"2", strong=True)), MISSED_S - 15)
                with moved.client() as client:
                    assert client.hget("k", "data") == b"2"
