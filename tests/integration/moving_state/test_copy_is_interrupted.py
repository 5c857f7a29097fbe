"""A copy that is killed, stopped or cut off continues when the same command is run again."""

from __future__ import annotations

import signal

import pytest
from integration.moving_state.conftest import TO_BULKS
from servers.blocking_proxy import BlockingProxy
from servers.places import Desk, Place, numbered, outcome
from servers.redis_server import RedisServer

from pannier_sidecar.state.requests import Set

COUNT = 4000


@pytest.mark.parametrize("route", TO_BULKS, indirect=True)
async def test_killed_in_the_middle_and_run_again(desk: Desk, route: tuple[Place, Place]) -> None:
    source, target = route
    await source.save(*numbered(COUNT))
    for _ in range(2):
        first = desk.start("copy", "--from", source.file, "--to", target.file)
        first.until_says(f"of {COUNT}")
        first.send(signal.SIGKILL)
        first.end()
        first.close()
        assert len(await target.values()) > 0
    # Values written before the end are known to be ours, whether or not their answer arrived.
    await source.save(*(Set(write.key, b"later") for write in numbered(COUNT)))
    done = desk.copy(source.file, target.file)
    assert done.code == 0, done.err[-5:]
    assert await target.values() == {write.key: b"later" for write in numbered(COUNT)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_stopped_it_ends_cleanly_and_says_how_to_go_on(
    desk: Desk, sqlite_place: Place, redis: RedisServer, redis_place: Place, number: signal.Signals
) -> None:
    await sqlite_place.save(*numbered(1000))
    with BlockingProxy(redis.port, 60_000) as proxy:
        blocked = Place(desk.folder / "blocked.yaml", "state.redis", {"redisHost": f"127.0.0.1:{proxy.port}"})
        running = desk.start("copy", "--from", sqlite_place.file, "--to", blocked.file)
        proxy.wait_until_blocked()
        running.send(number)
        stopped = outcome(running)
        running.close()
    assert stopped.code == 128 + number
    assert stopped.err[-1] == "pannier: interrupted; run the same command again: it continues where this one ended"
    assert "Traceback" not in "\n".join(stopped.err)
    there = await redis_place.values()
    assert 0 < len(there) < 1000
    assert desk.copy(sqlite_place.file, redis_place.file).code == 0
    assert await redis_place.values() == await sqlite_place.values()


async def test_a_server_that_restarts_meanwhile_is_waited_for(
    desk: Desk, sqlite_place: Place, redis: RedisServer, redis_place: Place
) -> None:
    await sqlite_place.save(*numbered(COUNT))
    running = desk.start("copy", "--from", sqlite_place.file, "--to", redis_place.file)
    running.until_says(f"of {COUNT}")
    redis.kill()
    redis.start()
    done = outcome(running)
    running.close()
    # It came back empty, because its data was only in memory: the missing keys are noticed.
    assert done.code in (0, 1), done.err
    if done.code:
        assert any("the target does not have it" in line for line in done.err)
    assert desk.copy(sqlite_place.file, redis_place.file).code == 0
    assert await redis_place.values() == await sqlite_place.values()


async def test_a_server_that_is_down_ends_it_with_advice(
    desk: Desk, sqlite_place: Place, redis: RedisServer, redis_place: Place
) -> None:
    await sqlite_place.save(*numbered(1000))
    with BlockingProxy(redis.port, 60_000) as proxy:
        settings = {"redisHost": f"127.0.0.1:{proxy.port}", "redisMaxRetries": 0, "readTimeout": "200ms"}
        settings |= {"dialTimeout": "200ms", "writeTimeout": "200ms"}
        blocked = Place(desk.folder / "blocked.yaml", "state.redis", settings)
        done = desk.copy(sqlite_place.file, blocked.file)
    assert done.code == 1
    assert any("copied" in line for line in done.err)
    assert done.err[-1].startswith("pannier: ended early: ")
    assert done.err[-1].endswith("run the same command again: it continues where this one ended")
    assert desk.copy(sqlite_place.file, redis_place.file).code == 0


@pytest.mark.parametrize("route", TO_BULKS, indirect=True)
async def test_two_runs_at_once_do_the_work_together(desk: Desk, route: tuple[Place, Place]) -> None:
    source, target = route
    await source.save(*numbered(3000))
    both = [desk.start("copy", "--from", source.file, "--to", target.file) for _ in range(2)]
    done = [outcome(each) for each in both]
    for each in both:
        each.close()
    assert [each.code for each in done] == [0, 0], [each.err[-3:] for each in done]
    assert await target.values() == await source.values()
