"""Several sidecars' stores work on one Redis while it is killed, paused and cut off."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from hostile.effort import Effort
from redis.exceptions import RedisError
from servers.eventually import until
from servers.faulty_proxy import FaultyProxy
from servers.history import PROMISED, at_work
from servers.lost_answers import answers_lost
from servers.redis_server import RedisServer, cluster, follows, single, watched_by_sentinels

Promise = Callable[..., None]
PATIENT = {"dialTimeout": 20.0, "readTimeout": 1.0}
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


async def test_killed_paused_and_cut_off(tmp_path: Path, effort: Effort, promise: Promise) -> None:
    rounds = effort.times(2, 25)
    with single(tmp_path, *DURABLE) as server, FaultyProxy(server.port) as proxy:
        proxies = (server.settings, {"redisHost": proxy.address})
        async with at_work("state.redis", {"readTimeout": 0.5}, *proxies) as history:
            for _ in range(rounds):
                await history.goes_on()
                await killed(server)
                await history.goes_on()
                await paused(server, 0.7)
                await history.goes_on()
                await answers_lost(proxy)
            await history.goes_on()
    promise(
        PROMISED,
        on="Redis 7.0, one server, appendfsync always",
        fault="killed and restarted; paused for longer than readTimeout; connections cut while answers are in flight",
        times=3 * rounds,
        counted=history.counts,
    )


async def test_primaries_killed_behind_sentinels(tmp_path: Path, effort: Effort, promise: Promise) -> None:
    """The next primary is killed as soon as the previous one is a replica with all data, but not before. Redis promises
    no more: if Sentinels find the primary and its replica down, rightly or not, they promote a server that has come
    back with outdated data. So Sentinels must not take running servers for failed ones.
    """
    rounds = effort.times(1, 10)
    with watched_by_sentinels(tmp_path, 2, *DURABLE, down_after_ms=2500) as watched:
        async with at_work("state.redis", {**watched.settings, **PATIENT}, strong=True) as history:
            for _ in range(rounds):
                await until(lambda: in_step(watched.current_primary))  # one failure at a time
                await history.goes_on()
                dead = await asyncio.to_thread(watched.current_primary)
                dead.kill()
                await until(lambda dead=dead: watched.primary_port() != dead.port)
                await history.goes_on()
                await asyncio.to_thread(dead.start)
                await history.goes_on()
    promise(
        "An acknowledged strong write survives the loss of the primary, and no write happens twice",
        on="Redis 7.0, three Sentinels, two replicas",
        fault="the primary killed, replaced and restarted as a replica",
        times=rounds,
        counted=history.counts,
    )


async def test_nodes_of_a_cluster_killed(tmp_path: Path, effort: Effort, promise: Promise) -> None:
    """As with Sentinels; and replicas stay with their primary, see `cluster`. A replica that migrates to another shard
    discards its copy, even while its own shard has no primary.
    """
    rounds = effort.times(1, 10)
    with cluster(tmp_path, replicas=2) as nodes:
        tag = next(tag for n in range(1000) if nodes.owner_of(tag := f"{{t{n}}}") is nodes.nodes[0])
        async with at_work("state.redis", {**nodes.settings, **PATIENT}, strong=True, tag=tag) as history:
            for _ in range(rounds):
                await until(lambda: in_step(lambda: nodes.owner_of(tag)))
                await history.goes_on()
                dead = await asyncio.to_thread(nodes.owner_of, tag)
                dead.kill()
                await until(lambda dead=dead: nodes.owner_of(tag) is not dead)
                await history.goes_on()
                await asyncio.to_thread(dead.start)
                await history.goes_on()
    promise(
        "An acknowledged strong write survives the loss of the node, and no write happens twice",
        on="Redis 7.0, Cluster of three, two replicas",
        fault="the primary of the keys killed, replaced and restarted as a replica",
        times=rounds,
        counted=history.counts,
    )


def in_step(primary: Callable[[], RedisServer]) -> bool:
    """Whether both replicas follow; a replica that copies everything again has nothing until it is done."""
    try:
        return follows(primary(), 2)
    except (RedisError, OSError):
        return False


async def killed(server: RedisServer) -> None:
    server.kill()
    await asyncio.sleep(0.05)
    await asyncio.to_thread(server.start)


async def paused(server: RedisServer, seconds: float) -> None:
    await asyncio.to_thread(server.pause)
    await asyncio.sleep(seconds)
    server.resume()
