"""A node of a Redis Cluster is cut off from the others but not from us."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest
from hostile.effort import Effort
from servers.eventually import eventually, until
from servers.opened_redis import opened, opened_beside
from servers.opened_store import opening
from servers.processes import free_port
from servers.redis_net import CLIENTS, ClusterNet, Place, ask, cluster, serves
from servers.redis_server import single

from pannier_sidecar.state.errors import OutcomeUnknownError, PartlyUnavailableError, StoreError, StoreUnavailableError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores.redis.slots import slot_of
from pannier_sidecar.stores.redis.store import RedisStore

Promise = Callable[..., None]


def cut_off(net: ClusterNet, place: Place) -> None:
    net.split([place, CLIENTS], [other for other in net.places if other is not place] + [CLIENTS])


async def test_a_primary_that_was_replaced_is_left_also_by_those_that_start(
    tmp_path: Path, effort: Effort, promise: Promise
) -> None:
    rounds = effort.times(1, 10)
    served = 0
    with cluster(tmp_path) as net:
        tag, watching = net.tag_on(net.places[0]), net.places[1]
        async with opening("state.redis", {**net.settings, "dialTimeout": 4.0, "readTimeout": 1.0}) as open_one:
            running = await open_one("v1")
            for turn in range(rounds):
                old = net.owner(tag, watching)
                assert old is not None
                cut_off(net, old)
                # A vote may need several rounds.
                await until(lambda old=old: net.owner(tag, watching) not in (old, None), 120)
                await until(lambda: serves(watching))
                await eventually(lambda turn=turn: running.set(Set(f"{tag}{turn}", b"1")), 10)
                started = monotonic()
                fresh = await open_one("v1")
                found = await fresh.get(Get(f"{tag}{turn}"))
                assert found is not None
                assert monotonic() - started < 10
                for number in range(100):
                    await running.set(Set(f"{tag}{turn}-{number}", b"1"))
                    assert await fresh.get(Get(f"{tag}{turn}-{number}")) is not None
                    served += 2
                await fresh.close()
                net.heal()
                await until(lambda old=old: b"slave" in _role(old))
                await until(lambda: _has_replica(net.owner(tag, watching)))
    promise(
        "A node whose slots another node has taken over gets no calls, neither from running sidecars nor from new ones",
        on="Redis 7.0, Cluster of three, one replica",
        fault="the primary cut off from the other nodes, not from the sidecars",
        times=rounds,
        counted=f"{served:,} calls served by the new primary, none failed",
    )


def _has_replica(primary: Place | None) -> bool:
    return primary is not None and bool(ask(primary, "WAIT", 1, 100) == 1)


def _role(place: Place) -> bytes:
    role = ask(place, "ROLE")[0]
    return role if isinstance(role, bytes) else str(role).encode()


async def test_while_nobody_takes_over_calls_fail_fast_and_health_says_so(tmp_path: Path, promise: Promise) -> None:
    with cluster(tmp_path, 0, "--cluster-require-full-coverage", "no") as net:
        alone, other = net.places[0], net.places[1]
        lost, kept = net.tag_on(alone), net.tag_on(other)
        async with opened(net.settings, dialTimeout=1.0, readTimeout=1.0) as store:
            await store.set(Set(lost + "k", b"1"))
            cut_off(net, alone)
            await until(lambda: not serves(alone))
            with pytest.raises(PartlyUnavailableError, match="2 of 3 nodes of the Cluster serve"):
                await store.ping()
            await until_fast(store, lost + "k")
            for _ in range(20):
                await store.set(Set(kept + "k", b"1"))
            async with opened_beside(net.settings, dialTimeout=1.0) as fresh:
                await fresh.set(Set(kept + "k", b"2"))
                assert isinstance(await error_of(fresh, lost + "k"), StoreUnavailableError)
            net.heal()
            await eventually(lambda: store.set(Set(lost + "k", b"2")))
            await eventually(store.ping)
    promise(
        "Calls for keys of a node that takes no calls fail at once, other keys are served, and health reports it",
        on="Redis 7.0, Cluster of three without replicas, no full coverage",
        fault="one primary cut off from the other nodes",
        times=1,
        counted="20 calls failed within 0.2 s each, 21 for other keys served",
    )


async def until_fast(store: RedisStore, key: str) -> None:
    """Wait until 20 calls in a row fail at once."""
    async with asyncio.timeout(20):
        fast = 0
        while fast < 20:
            started = monotonic()
            assert isinstance(await error_of(store, key), StoreUnavailableError)
            fast = fast + 1 if monotonic() - started < 0.2 else 0


async def error_of(store: RedisStore, key: str) -> StoreError | None:
    try:
        await store.set(Set(key, b"3"))
    except (StoreUnavailableError, OutcomeUnknownError) as error:
        return error
    return None


async def test_a_slot_that_has_no_node_costs_each_call_nothing(tmp_path: Path) -> None:
    with cluster(tmp_path, 0, "--cluster-require-full-coverage", "no") as net:
        tag = net.tag_on(net.places[0])
        async with opened(net.settings, dialTimeout=1.0) as store:
            await store.set(Set(tag, b"1"))
            slot = slot_of(tag.encode())
            for place in net.places:
                ask(place, "CLUSTER DELSLOTS", slot)
            await until_fast(store, tag)
            with pytest.raises(StoreUnavailableError, match="hash slot"):
                await store.get(Get(tag))
            for place in net.places:
                ask(place, "CLUSTER SETSLOT", slot, "NODE", ask(net.places[0], "CLUSTER MYID"))
            await eventually(lambda: store.set(Set(tag, b"2")))


async def test_a_cluster_that_is_down_is_not_ready_and_is_found_when_it_is_back(tmp_path: Path) -> None:
    with cluster(tmp_path, 0) as net:
        alone: list[list[Place | str]] = [[place, CLIENTS] for place in net.places]
        net.split(*alone)
        await until(lambda: not any(map(serves, net.places)))
        store = RedisStore({**net.settings, "dialTimeout": 2.0})
        with pytest.raises(StoreUnavailableError, match="the Redis Cluster is down"):
            await store.open()
        await store.close()
        net.heal()
        await until(lambda: all(map(serves, net.places)))
        async with opened(net.settings) as store:
            await store.set(Set("k", b"1"))


async def test_addresses_that_are_no_longer_of_the_cluster_are_passed_over(tmp_path: Path) -> None:
    lone = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with cluster(tmp_path / "cluster", 0) as net, single(tmp_path / "lone", *lone) as other:
        with other.client() as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            client.execute_command("CLUSTER BUMPEPOCH")
        hosts = f"{other.address},{net.places[1].address}"
        async with opened({"redisHost": hosts, "redisType": "cluster"}) as store:
            for number in range(30):
                await store.set(Set(f"k{number}", b"1"))
        with other.client() as client:
            assert client.execute_command("DBSIZE", target_nodes="random") == 0


async def test_a_node_that_was_removed_is_left(tmp_path: Path) -> None:
    with cluster(tmp_path, 1) as net:
        old = net.places[0]
        tag = net.tag_on(old)
        async with opened(net.settings, dialTimeout=10.0) as store:
            await store.set(Set(tag + "k", b"1", strong=True))
            ask(net.places[3], "CLUSTER FAILOVER", "TAKEOVER")
            await until(lambda: net.owner(tag, net.places[1]) is net.places[3])
            name = ask(old, "CLUSTER MYID")
            await until(lambda: b"slave" in _role(old))
            ask(old, "CLUSTER RESET", "HARD")
            for place in net.places[1:]:
                ask(place, "CLUSTER FORGET", name)
            await eventually(lambda: store.set(Set(tag + "k", b"2")))
            async with opened_beside(net.settings) as fresh:
                found = await fresh.get(Get(tag + "k"))
                assert found is not None
                assert found.value == b"2"
