"""On a Cluster every key finds its node, even while slots move and nodes fail over."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from servers.eventually import eventually, until
from servers.load import Load
from servers.opened_redis import opened
from servers.opened_store import opening
from servers.processes import free_port
from servers.redis_server import Cluster, RedisServer, cluster

from pannier_sidecar.state.errors import NotSupportedError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.redis.slots import slot_of
from pannier_sidecar.stores.redis.store import RedisStore


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[Cluster]:
    """Two replicas of the first of the three, which has the lowest slots."""
    with cluster(tmp_path, replicas=2) as nodes:
        yield nodes


@pytest.fixture
async def store(nodes: Cluster) -> AsyncIterator[RedisStore]:
    for node in nodes.nodes:
        with node.client() as client:
            client.flushall()
    async with opened(nodes.settings) as store:
        yield store


def other_than(nodes: Cluster, owner: RedisServer) -> RedisServer:
    return next(node for node in nodes.nodes if node is not owner)


def test_slots_are_those_of_the_specification(nodes: Cluster) -> None:
    with nodes.nodes[0].client() as client:
        for key in ("", "k", "{a}b", "a{b}", "{}x", "a{}b{c}", "{a", "}{a}", "a{{b}}", "ключ"):
            assert slot_of(key.encode()) == client.execute_command("CLUSTER KEYSLOT", key)


async def test_one_address_is_enough(nodes: Cluster) -> None:
    async with opened({"redisHost": nodes.nodes[1].address, "redisType": "cluster"}) as store:
        for n in range(20):
            await store.set(Set(f"k{n}", b"1"))
        await store.ping()


async def test_a_node_of_a_cluster_is_no_single_node(nodes: Cluster) -> None:
    async with opened(nodes.nodes[0].settings) as store:
        with pytest.raises(StoreRefusedError, match="set redisType: cluster"):
            for n in range(20):
                await store.set(Set(f"k{n}", b"1"))


async def test_a_bulk_read_over_all_nodes_keeps_the_order(store: RedisStore) -> None:
    names = [f"k{n}" for n in range(100)]
    assert list(await store.bulk_write([Set(name, name.encode()) for name in names])) == [None] * 100
    found = await store.bulk_get([Get(name) for name in names])
    assert [getattr(each, "value", None) for each in found] == [name.encode() for name in names]


async def test_keys_of_several_slots_are_refused_in_one_transaction(store: RedisStore) -> None:
    with pytest.raises(NotSupportedError, match=r"different hash slots.*braces"):
        await store.transact([Set("a", b"1"), Set("b", b"1")])
    await store.transact([Set("{t}a", b"1"), Set("{t}b", b"1"), Delete("{t}c")])
    assert await store.get(Get("a")) is None
    assert await store.get(Get("{t}a")) is not None


async def test_a_list_has_the_keys_of_all_nodes(store: RedisStore) -> None:
    names = {f"k{n}" for n in range(500)}
    await store.bulk_write([Set(name, b"1") for name in names])
    met: list[str] = []
    cursor = None
    while True:
        page = await store.keys("k", 7, cursor)
        assert len(page.keys) <= 7
        met += page.keys
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(met) == sorted(names)


async def test_a_slot_that_moved_is_found_where_it_is_now(store: RedisStore, nodes: Cluster) -> None:
    key = "{moving}k"
    await store.set(Set(key, b"1"))
    found = await store.get(Get(key))
    assert found is not None
    for expected in (b"2", b"3"):
        slot = slot_of(key.encode())
        nodes.move_slot(slot, other_than(nodes, nodes.owner(slot)))
        await store.set(Set(key, expected, if_match=found.etag))
        found = await store.get(Get(key))
        assert found is not None
        assert found.value == expected
        listed = await store.keys("{moving}", 10, None)
        assert listed.keys == [key]


async def test_keys_of_a_slot_that_moved_unnoticed_are_listed(store: RedisStore, nodes: Cluster) -> None:
    keys = {f"{{moved-{number}}}k" for number in range(3)}
    for key in keys:
        await store.set(Set(key, b"1"))
    for key in keys:
        slot = slot_of(key.encode())
        nodes.move_slot(slot, other_than(nodes, nodes.owner(slot)))
    assert set((await store.keys("{moved-", 10, None)).keys) == keys


async def test_while_a_slot_moves_each_key_is_found(store: RedisStore, nodes: Cluster) -> None:
    slot = slot_of(b"{ask}")
    await store.set(Set("{ask}old", b"1"))
    with nodes.migrating(slot, other_than(nodes, nodes.owner(slot))):
        await store.set(Set("{ask}new", b"2"))  # goes to the new node: the old one does not have it
        await store.set(Set("{ask}strong", b"3", strong=True))
        await store.set(Set("{ask}old", b"4"))
        await store.transact([Set("{ask}old", b"5", ttl=100)])
        waiting = asyncio.create_task(store.transact([Set("{ask}a", b"5"), Set("{ask}b", b"6")]))
        for name, value in (("old", b"5"), ("new", b"2"), ("strong", b"3")):
            found = await store.get(Get("{ask}" + name))
            assert found is not None, name
            assert found.value == value
        entries = await store.bulk_get([Get("{ask}old"), Get("{ask}new"), Get("{ask}absent")])
        assert [getattr(each, "value", None) for each in entries] == [b"5", b"2", None]
        outcomes = await store.bulk_write([Set("{ask}new", b"7"), Delete("{ask}absent"), Set("{ask}old", b"8")])
        assert list(outcomes) == [None] * 3
    await waiting  # several keys of a moving slot wait until it has moved
    found = await store.get(Get("{ask}new"))
    assert found is not None
    assert found.value == b"7"


async def test_slots_that_move_under_load_lose_nothing(store: RedisStore, nodes: Cluster) -> None:
    async with Load(store, tag="{busy}") as load:
        slot = slot_of(b"{busy}")
        for _ in range(6):
            await load.goes_on()
            target = other_than(nodes, nodes.owner(slot))
            await asyncio.to_thread(nodes.move_slot, slot, target)
    await load.check(store)
    assert not load.raised


async def test_a_node_killed_and_restarted_leaves_the_others_serving(tmp_path_factory: pytest.TempPathFactory) -> None:
    with cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        for node in nodes.nodes:
            with node.client() as client:
                client.config_set("cluster-require-full-coverage", "no")
        async with opened(nodes.settings, dialTimeout=0.5, readTimeout=0.5) as store:
            names = [f"k{n}" for n in range(60)]
            await store.bulk_write([Set(name, b"1") for name in names])
            dead = nodes.nodes[2]
            gone = {name for name in names if nodes.owner(slot_of(name.encode())) is dead}
            dead.kill()
            found = await store.bulk_get([Get(name) for name in names])
            assert {name for name, each in zip(names, found, strict=True) if isinstance(each, Exception)} == gone
            dead.start()
            await until(lambda: True)
            async with asyncio.timeout(20):
                while any(isinstance(each, Exception) for each in await store.bulk_get([Get(name) for name in names])):
                    await asyncio.sleep(0.05)


async def test_a_node_killed_under_load_is_replaced_by_its_replicas_one_after_the_other(replicated: Cluster) -> None:
    """Only strong writes are promised to survive: the others may not have reached a replica."""
    tag = tag_on(replicated, replicated.nodes[0])
    async with opened(replicated.settings, dialTimeout=30.0, readTimeout=1.0) as store:
        async with Load(store, tag=tag, strong=True) as load:
            for _ in range(2):
                await load.goes_on()
                dead = await replaced(replicated, tag)
            await asyncio.to_thread(dead.start)  # the last one accepts no strong writes alone
            await load.goes_on()
        await load.check(store)


async def test_after_a_failover_the_other_replica_is_expected_before_it_has_found_the_new_primary(
    replicated: Cluster,
) -> None:
    tag = tag_on(replicated, replicated.nodes[0])
    other = replicated.nodes[-1]
    async with opened(replicated.settings, dialTimeout=30.0, readTimeout=1.0) as store:
        other.pause()
        await replaced(replicated, tag)
        with pytest.raises(StoreUnavailableError, match="only 0 of 1 replicas.*nothing was written"):
            await store.set(Set(tag, b"1", strong=True))
        other.resume()
        await eventually(lambda: store.set(Set(tag, b"2", strong=True)))


async def test_after_two_failovers_a_write_that_only_the_last_node_has_is_not_strong(replicated: Cluster) -> None:
    tag = tag_on(replicated, replicated.nodes[0])
    async with opening("state.redis", {**replicated.settings, "dialTimeout": 5.0, "readTimeout": 1.0}) as open_one:
        running = await open_one("v1")
        await eventually(lambda: running.set(Set(tag, b"1", strong=True)))
        dead = [await replaced(replicated, tag) for _ in range(2)]
        await eventually(lambda: running.set(Set(tag, b"2")))
        fresh = await open_one("v1")
        for store in (running, fresh):
            with pytest.raises(StoreUnavailableError, match="only 0 of 1 replicas.*nothing was written"):
                await store.set(Set(tag, b"3", strong=True))
        found = await fresh.get(Get(tag))
        assert found is not None
        assert found.value == b"2"
        await asyncio.to_thread(dead[0].start)
        await eventually(lambda: running.set(Set(tag, b"4", strong=True)))


async def test_a_slot_that_moves_to_a_node_without_replicas_takes_strong_writes_at_once(replicated: Cluster) -> None:
    nodes = replicated.nodes
    tag = tag_on(replicated, nodes[0])
    slot = slot_of(tag.encode())
    async with opened(replicated.settings, readTimeout=1.0) as store:
        await eventually(lambda: store.set(Set(tag, b"1", strong=True)))
        await asyncio.to_thread(replicated.move_slot, slot, nodes[1])
        await eventually(lambda: store.set(Set(tag, b"2", strong=True)), 10)


async def test_a_replica_that_comes_back_at_another_address_is_not_missed_at_the_old_one(
    replicated: Cluster, tmp_path: Path
) -> None:
    tag, moved = tag_on(replicated, replicated.nodes[0]), replicated.nodes[-1]
    async with opened(replicated.settings, readTimeout=1.0) as store:
        await eventually(lambda: store.set(Set(tag, b"1", strong=True)))
        await asyncio.to_thread(moved.stop)
        moved.port = free_port()
        await asyncio.to_thread(moved.start)
        await until(lambda: replicas_of(replicated.nodes[0]) == 2)
        await eventually(lambda: store.set(Set(tag, b"2", strong=True)), 15)  # it took a minute before


async def test_a_replica_that_was_forgotten_is_no_longer_expected(replicated: Cluster) -> None:
    tag, gone = tag_on(replicated, replicated.nodes[0]), replicated.nodes[-1]
    async with opened(replicated.settings, readTimeout=1.0) as store:
        with gone.client() as client:
            name = client.execute_command("CLUSTER MYID")
        gone.kill()
        await until(lambda: replicas_of(replicated.nodes[0]) == 1)
        with pytest.raises(StoreUnavailableError, match="only 1 of 2 replicas"):
            await store.set(Set(tag, b"1", strong=True))
        for node in replicated.nodes[:-1]:
            with node.client() as client:
                client.execute_command("CLUSTER FORGET", name)
        await eventually(lambda: store.set(Set(tag, b"2", strong=True)))


def replicas_of(primary: RedisServer) -> int:
    with primary.client() as client:
        return int(client.info("replication")["connected_slaves"])


def tag_on(nodes: Cluster, node: RedisServer) -> str:
    """Return a hash tag whose keys this node has."""
    return next(f"{{t{n}}}" for n in range(1000) if nodes.owner(slot_of(b"t%d" % n)) is node)


async def replaced(nodes: Cluster, tag: str) -> RedisServer:
    """Kill the node that has the tag's keys, and return it when another one has them."""
    slot = slot_of(tag.encode())
    dead = await asyncio.to_thread(nodes.owner, slot)
    dead.kill()
    while await asyncio.to_thread(nodes.owner, slot) is dead:
        await asyncio.sleep(0.1)
    return dead
