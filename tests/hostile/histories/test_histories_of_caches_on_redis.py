"""Three sidecars hold values of one Redis in memory while it is killed, paused and cut off from them."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from hostile.effort import Effort
from servers.cache_history import CachedStore, CacheHistory
from servers.cutting_proxy import CuttingProxy
from servers.eventually import until
from servers.opened_redis import opened_beside
from servers.redis_server import RedisServer, single

from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.polling import lag_of

Promise = Callable[..., None]
KEYS = KeyScheme(store="s", app_id="app")
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
PROMISED = (
    "A read from memory returns nothing older than the sidecar has written or returned before, than the stated bound, "
    "or than the loss of its feed"
)


@asynccontextmanager
async def cached(proxies: Sequence[CuttingProxy], settings: Any) -> AsyncIterator[list[CachedStore]]:
    """A cached store behind each proxy."""
    async with AsyncExitStack() as stack:
        found = []
        for proxy in proxies:
            there = {**settings, "redisHost": proxy.address, "readTimeout": 0.5}
            store = await stack.enter_async_context(opened_beside(there))
            one = CachedStore(store, KEYS, bound_s=2 * lag_of(store, 1.0) + 1)
            stack.push_async_callback(one.stop)
            found.append(one)
        for one in found:
            await until(lambda one=one: one.is_proven)
        yield found


async def test_caches_while_redis_is_killed_paused_and_cut_off(
    tmp_path: Path, effort: Effort, promise: Promise
) -> None:
    rounds = effort.times(1, 20)
    with single(tmp_path, *DURABLE) as server:
        async with AsyncExitStack() as stack:
            proxies = [await stack.enter_async_context(CuttingProxy(server.port)) for _ in range(3)]
            sidecars = await stack.enter_async_context(cached(proxies, server.settings))
            bound = 2 * sidecars[0].store.feed_lag_s + 1
            history = CacheHistory([one.store for one in sidecars], [f"app||{n}" for n in range(30)], bound)
            calls = asyncio.create_task(history.run(effort.times(20_000, 1_000_000)))
            try:
                for _ in range(rounds):
                    for fault in (cut_off, killed, paused):
                        await fault(server, proxies, sidecars, history)
                        await until(lambda: all(one.is_proven for one in sidecars) or calls.done())
                await calls
            finally:
                calls.cancel()
                await asyncio.wait([calls])
    hits = sum(one.cached.counts.hits for one in sidecars)
    assert hits > history.reads / 100, "the caches were used"
    promise(
        PROMISED,
        on="Redis 7.0, one server, appendfsync always",
        fault="a sidecar cut off from the server; the server killed and restarted, and paused",
        times=3 * rounds,
        counted=f"{history.reads:,} reads, {hits:,} of them from memory, {history.writes:,} writes",
    )


async def cut_off(
    server: RedisServer, proxies: Sequence[CuttingProxy], sidecars: Sequence[CachedStore], history: CacheHistory
) -> None:
    """Cut one sidecar off, for longer than it takes to notice."""
    number = random.randrange(len(proxies))
    await proxies[number].close()
    await until(lambda: not sidecars[number].is_proven)
    history.lost.add(number)
    await asyncio.sleep(0.3)
    history.lost.discard(number)
    await proxies[number].open()


async def killed(
    server: RedisServer, proxies: Sequence[CuttingProxy], sidecars: Sequence[CachedStore], history: CacheHistory
) -> None:
    await asyncio.to_thread(server.kill)
    await until(lambda: not any(one.is_proven for one in sidecars))
    await asyncio.to_thread(server.start)


async def paused(
    server: RedisServer, proxies: Sequence[CuttingProxy], sidecars: Sequence[CachedStore], history: CacheHistory
) -> None:
    server.pause()
    await asyncio.sleep(0.7)
    server.resume()
