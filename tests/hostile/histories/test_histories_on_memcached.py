"""Two sidecars' stores work on one memcached while it is paused and connections are cut. It is not killed, because its
content would be lost, and nobody promises otherwise.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from hostile.effort import Effort
from servers.faulty_proxy import FaultyProxy
from servers.history import PROMISED, at_work
from servers.lost_answers import answers_lost
from servers.memcached_server import single

Promise = Callable[..., None]


async def test_paused_and_cut_off(tmp_path: Path, effort: Effort, promise: Promise) -> None:
    rounds = effort.times(3, 40)
    with single(tmp_path) as server, FaultyProxy(server.port) as proxy:
        proxies = ({"hosts": server.address}, {"hosts": proxy.address})
        async with at_work("state.memcached", {"timeout": 0.5}, *proxies) as history:
            for _ in range(rounds):
                await history.goes_on()
                await asyncio.to_thread(server.pause)
                await asyncio.sleep(0.7)
                server.resume()
                await history.goes_on()
                await answers_lost(proxy)
            await history.goes_on()
    promise(
        PROMISED,
        on="memcached 1.6, one server",
        fault="paused for longer than timeout; connections cut while answers are in flight",
        times=2 * rounds,
        counted=history.counts,
    )
