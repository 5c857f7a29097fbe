"""Redis pushes which keys have changed: what is reported, what ends a feed, and what one takes of the server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from conformance.feeds import followed, outage_of
from servers import server_faults
from servers.eventually import eventually, until
from servers.faulty_proxy import FaultyProxy
from servers.hostile_proxy import HostileProxy
from servers.mirror import etags_of, mirrored
from servers.opened_redis import opened
from servers.redis_server import (
    Cluster,
    RedisServer,
    bus_port,
    cluster,
    cluster_node,
    node_id,
    single,
    wait_until,
    watched_by_sentinels,
)

from pannier_sidecar.state.errors import NotSupportedError, StoreError
from pannier_sidecar.state.feeds import ChangesBy
from pannier_sidecar.state.requests import Delete, Set
from pannier_sidecar.stores.redis.feed import CHANNEL
from pannier_sidecar.stores.redis.slots import slot_of
from pannier_sidecar.stores.redis.store import RedisStore


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with single(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisStore]:
    with server.client() as client:
        client.flushall()
    async with opened(server.settings) as store:
        yield store


async def test_what_others_do_is_reported(store: RedisStore, server: RedisServer) -> None:
    with server.client() as client:
        async with followed(store, "app||") as feed:
            client.set("app||string", "1")
            client.hset("app||hash", "data", "1")
            client.rename("app||hash", "app||renamed")
            client.copy("app||string", "app||copy")
            client.pexpire("app||string", 1)
            client.set("other||a", "1")
            client.set(b"app||\xff", "1")  # no key of state
            await feed.until_now()
            for key, count in {"string": 2, "hash": 2, "renamed": 1, "copy": 1}.items():
                assert 1 <= len(feed.etags(f"app||{key}")) <= count
            await until(lambda: not client.exists("app||string"))
            await feed.until_now()
            assert {entry.key for entry in feed.entries if hasattr(entry, "key")} == {
                "app||string",
                "app||hash",
                "app||renamed",
                "app||copy",
            }
            assert not feed.has_gap


async def test_evicted_keys_are_reported(tmp_path: Path) -> None:
    with single(tmp_path, "--maxmemory", "20mb", "--maxmemory-policy", "allkeys-random") as server:
        async with opened(server.settings) as store:
            await store.set(Set("app||a", b"x" * 1_000_000))
            async with followed(store, "app||") as feed:
                with server.client() as client:
                    client.config_set("maxmemory", "1mb")
                    client.execute_command("PING")
                    await until(lambda: not client.exists("app||a"))
                    client.config_set("maxmemory", "20mb")
                await feed.until_now()
                assert feed.etags("app||a")


@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB ASYNC"])
async def test_an_emptied_database_is_a_gap(store: RedisStore, server: RedisServer, command: str) -> None:
    async with mirrored(store, "app||") as mirror:
        await store.set(Set("app||a", b"1"))
        await mirror.until_now()
        assert mirror.etags
        with server.client() as client:
            client.execute_command(command)
        await mirror.until_now()
        assert not mirror.etags
        assert mirror.gaps == ["a database of the Redis server was emptied"]
        assert mirror.begun == 1


async def test_a_feed_frees_its_connection(store: RedisStore, server: RedisServer) -> None:
    with server.client() as client:
        before = len(client.client_list())
        async with followed(store, "app||"), followed(store, "app||"):
            listening = [each for each in client.client_list() if each["sub"] == "1"]
            assert len(listening) == 2
            assert client.pubsub_channels() == [CHANNEL.encode()]
        await until(lambda: len(client.client_list()) == before)


async def test_without_permission_it_is_refused_with_what_to_grant(tmp_path: Path) -> None:
    with single(tmp_path, "--requirepass", "secret", client={"password": "secret"}) as server:
        with server.client() as client:
            client.execute_command("ACL SETUSER few on >secret ~* +@all -client|tracking")
        async with opened(server.settings, redisUsername="few", redisPassword="secret") as store:
            with pytest.raises(NotSupportedError) as caught:
                async with followed(store, "app||"):
                    pass
        message = str(caught.value)
        assert "+client|tracking" in message
        assert "changes: poll" in message
        assert "secret" not in message
        assert "\n" not in message


async def test_a_user_without_channels_and_with_few_keys_may_follow(tmp_path: Path) -> None:
    with single(tmp_path) as server:
        with server.client() as client:
            # The commands of docs/change-feeds.md, beside those that every component needs.
            client.execute_command(
                *"ACL SETUSER app on nopass resetchannels ~app||* +@read +@write +@scripting +@connection +info +role "
                "+time +client|tracking +hello".split()
            )
            client.execute_command("ACL SETUSER app ~pannier*")
        async with opened(server.settings, redisUsername="app", redisPassword="any") as store:
            async with followed(store, "app||") as feed:
                await store.set(Set("app||a", b"1"))
                await feed.until_now()
                assert feed.etags("app||a")


async def test_changes_are_polled_if_the_component_says_so(server: RedisServer) -> None:
    async with opened(server.settings, changes="poll") as store:
        assert store.changes_by is ChangesBy.POLL
        with server.client() as client:
            client.set("poll||string", "1")
            async with mirrored(store, "poll||") as mirror:
                await store.set(Set("poll||a", b"1"))
                await store.set(Set("poll||b", b"1"))
                await store.delete(Delete("poll||b"))
                await mirror.until_now()
                assert set(mirror.etags) == {"poll||string", "poll||a"}
            assert not [each for each in client.client_list() if each["sub"] == "1"]


# --- outages ------------------------------------------------------------------------------------------------------


async def test_a_feed_ends_with_its_connection(server: RedisServer) -> None:
    with FaultyProxy(server.port) as proxy:
        async with opened({"redisHost": proxy.address}) as store:
            async with followed(store, "app||") as feed:
                proxy.cut()
                assert "lost" in await outage_of(feed)


async def test_a_half_open_connection_ends_in_time(server: RedisServer) -> None:
    with FaultyProxy(server.port) as proxy:
        async with opened({"redisHost": proxy.address}, readTimeout=0.4) as store:
            async with followed(store, "app||") as feed:
                proxy.hold_answers()
                assert "did not answer within 0.4 s (readTimeout)" in await outage_of(feed)
                proxy.heal()


async def test_a_copy_is_right_after_a_server_was_killed_paused_and_started_again(tmp_path: Path) -> None:
    with single(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        async with opened(server.settings, readTimeout=1.0) as store, mirrored(store, "app||") as mirror:
            for number in range(3):
                begun = mirror.begun
                await eventually(lambda number=number: store.set(Set(f"app||{number}", b"1")))
                server.kill()
                server.start()
                with server.client() as client:  # before the feed is back
                    client.hset(f"app||{number} meanwhile", mapping={"data": "1", "version": "7"})
                await until(lambda begun=begun: mirror.begun > begun)
                server.pause()
                await asyncio.sleep(0.1)
                server.resume()
            await mirror.until_now()
            assert mirror.etags == await etags_of(store, "app||")
            assert len(mirror.etags) == 6


async def test_a_connection_that_is_too_slow_is_ended_by_the_server(server: RedisServer, store: RedisStore) -> None:
    """The server drops what waits for it, so that its memory stays bounded, and the feed ends."""
    names = [f"app||{'x' * 1000}{number}" for number in range(10)]
    with FaultyProxy(server.port) as proxy, server.client() as client:
        usual = client.config_get("client-output-buffer-limit")["client-output-buffer-limit"]
        client.config_set("client-output-buffer-limit", "pubsub 1mb 1mb 10")
        try:
            async with opened({"redisHost": proxy.address}, readTimeout=60.0) as slow:
                async with followed(slow, "app||") as feed:
                    proxy.hold_answers()

                    def is_dropped() -> bool:
                        for _ in range(100):
                            for name in names:
                                client.set(name, "1")
                        return not [each for each in client.client_list() if each["sub"] == "1"]

                    wait_until(is_dropped, "the server ends the connection")
                    proxy.heal()
                    await outage_of(feed)
        finally:
            client.config_set("client-output-buffer-limit", usual)


async def test_a_hostile_server_ends_a_feed(server: RedisServer, subtests: pytest.Subtests) -> None:
    shapes = {
        "an invalidation of nothing": b">1\r\n$10\r\ninvalidate\r\n",
        "an invalidation of a number": b">2\r\n$10\r\ninvalidate\r\n:1\r\n",
        "an invalidation of numbers": b">2\r\n$10\r\ninvalidate\r\n*2\r\n:1\r\n*0\r\n",
        "an empty message": b">0\r\n",
        "a message of another kind": b">2\r\n*0\r\n:1\r\n",
        "a million keys": b">2\r\n$10\r\ninvalidate\r\n*999999\r\n" + b"$6\r\napp||a\r\n" * 999_999,
        "keys without end": b">2\r\n$10\r\ninvalidate\r\n*999999\r\n" + b"$6\r\napp||a\r\n" * 99_999,
    }
    faults = {**server_faults.REDIS, **{name: server_faults.says(shape) for name, shape in shapes.items()}}
    with HostileProxy(server.port) as proxy:
        for name, fault in faults.items():
            with subtests.test(name):
                async with opened({"redisHost": proxy.address}, readTimeout=0.5, dialTimeout=2.0) as store:
                    async with followed(store, "app||") as feed:
                        proxy.turn(fault)
                        with pytest.raises(StoreError):
                            while True:
                                await feed.take()
                        proxy.come_back()


# --- several servers ----------------------------------------------------------------------------------------------


async def test_a_copy_is_right_after_failovers_by_sentinels(tmp_path: Path) -> None:
    with watched_by_sentinels(tmp_path, 2) as watched:
        async with opened(watched.settings, dialTimeout=20.0, readTimeout=1.0) as store:
            async with mirrored(store, "app||") as mirror:
                for number in range(2):
                    begun = mirror.begun
                    await eventually(lambda number=number: store.set(Set(f"app||{number}", b"1", strong=True)))
                    server = watched.current_primary()
                    server.kill() if number else server.pause()
                    await until(lambda server=server: watched.primary_port() != server.port)
                    await eventually(lambda number=number: store.set(Set(f"app||{number} after", b"1")))
                    server.start() if number else server.resume()
                    await until(lambda begun=begun: mirror.begun > begun)
                await mirror.until_now()
                assert mirror.etags == await etags_of(store, "app||")
                assert {"app||0 after", "app||1 after"} <= set(mirror.etags)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster"), 4) as nodes:
        yield nodes


async def test_slots_that_move_are_followed(nodes: Cluster) -> None:
    async with opened(nodes.settings) as store, mirrored(store, "app||") as mirror:
        await store.set(Set("app||{a}0", b"1"))
        slot = slot_of(b"a")
        source = nodes.owner(slot)
        target = next(node for node in nodes.nodes if node is not source)
        with nodes.migrating(slot, target):
            await store.set(Set("app||{a}1", b"1"))  # the new owner takes it already
            await mirror.until_now()
            assert set(mirror.etags) == {"app||{a}0", "app||{a}1"}
        await store.set(Set("app||{a}2", b"1"))
        await mirror.until_now()
        assert mirror.etags == await etags_of(store, "app||")
        assert len(mirror.etags) == 3
        assert mirror.begun == 1


async def test_a_node_that_joins_is_followed_before_it_has_slots(tmp_path: Path) -> None:
    with cluster(tmp_path, 2) as nodes, cluster_node(tmp_path / "joins") as fresh:
        async with opened(nodes.settings) as store, mirrored(store, "app||") as mirror:
            with fresh.client() as client:
                meet = ("CLUSTER MEET", "127.0.0.1", nodes.nodes[0].port, bus_port(nodes.nodes[0]))
                client.execute_command(*meet)
            await until(lambda: mirror.begun > 1)
            nodes.nodes.append(fresh)
            with fresh.client() as client:
                name = node_id(client)
            await until(lambda: all(_knows(node, name) for node in nodes.nodes))
            with nodes.migrating(slot_of(b"a"), fresh):
                await store.set(Set("app||{a}", b"1"))
                await mirror.until_now()
                assert set(mirror.etags) == {"app||{a}"}
            await mirror.until_now()
            assert mirror.etags == await etags_of(store, "app||")


async def test_a_copy_is_right_after_a_node_was_replaced(tmp_path: Path) -> None:
    with cluster(tmp_path, replicas=1) as nodes:
        async with opened(nodes.settings, dialTimeout=20.0, readTimeout=1.0) as store:
            async with mirrored(store, "app||") as mirror:
                first = nodes.nodes[0]
                tag = next(f"{{t{number}}}" for number in range(1000) if nodes.owner_of(f"t{number}") is first)
                await store.set(Set(f"app||{tag}", b"1", strong=True))
                first.kill()
                await eventually(lambda: store.set(Set(f"app||{tag} after", b"1")), 120)
                await mirror.until_now(120)
                assert mirror.etags == await etags_of(store, "app||")
                assert f"app||{tag} after" in mirror.etags


def _knows(node: RedisServer, name: str) -> bool:
    with node.client() as client:
        return name in str(client.execute_command("CLUSTER NODES"))
