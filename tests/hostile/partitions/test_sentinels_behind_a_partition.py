"""A primary that is cut off from the others but not from us is no longer used once they have replaced it."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import pytest
from hostile.effort import Effort
from servers.eventually import eventually, until
from servers.opened_redis import opened
from servers.opened_store import opening
from servers.redis_net import CLIENTS, Place, Watched, watched
from servers.redis_server import watched_by_sentinels

from pannier_sidecar.state.errors import ETagMismatchError, OutcomeUnknownError, StoreError, StoreUnavailableError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.state.store import Store
from pannier_sidecar.stores.redis.store import RedisStore

Promise = Callable[..., None]
STOPPED_S = 0.25
"""A longer pause between two writes means that the machine did not let this process run."""


class Written(NamedTuple):
    """A write that was acknowledged."""

    began: float
    pause: float
    """Seconds between the end of the write before it and its beginning."""
    key: str


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Watched]:
    with watched(tmp_path) as net:
        yield net


async def test_a_primary_that_was_voted_out_gets_no_further_writes(
    net: Watched, effort: Effort, promise: Promise
) -> None:
    rounds = effort.times(1, 10)
    acknowledged = late = 0
    async with opening("state.redis", {**net.settings, "dialTimeout": 4.0}) as open_one:
        one, other = await open_one("v1"), await open_one("v1")
        for turn in range(rounds):
            old = net.primary()
            net.split([old, CLIENTS], [place for place in net.places if place is not old] + [CLIENTS])
            written: list[Written] = []
            writing = asyncio.create_task(_writes(one, f"{turn}-", written))
            await until(lambda old=old: net.primary() is not old)
            replaced = monotonic()
            await until(lambda written=written, replaced=replaced: written and written[-1].began > replaced + 1.0)
            writing.cancel()
            results = await asyncio.gather(
                *(store.set(Set(f"first-{turn}", b"1", if_absent=True)) for store in (one, other)),
                return_exceptions=True,
            )
            assert sorted(map(type, results), key=str) == sorted([type(None), ETagMismatchError], key=str), results
            net.heal()
            told = replaced
            for began, pause, key in written:
                found = await eventually(lambda key=key: one.get(Get(key)))
                if pause > STOPPED_S:  # the store could not hear of it meanwhile
                    told = max(told, began)
                if began > told + 0.5:
                    assert found is not None, f"written {began - replaced:.2f} s after the primary was replaced"
                acknowledged += 1
                late += found is None
            if turn + 1 < rounds:
                await until(lambda: _have_healed(net))
    promise(
        "Half a second after Sentinels have replaced a primary, it gets no more writes, and no key is created twice",
        on="Redis 7.0, three Sentinels, two replicas",
        fault="the primary cut off from Sentinels and replicas, not from two sidecars",
        times=rounds,
        counted=f"{acknowledged:,} writes; {late} from before the replacement lost, none from after it",
    )


async def _writes(store: Store, prefix: str, written: list[Written]) -> None:
    number, ended = 0, monotonic()
    while True:
        number += 1
        began = monotonic()
        try:
            await store.set(Set(f"{prefix}{number}", b"1"))
            written.append(Written(began, began - ended, f"{prefix}{number}"))
        except (StoreUnavailableError, OutcomeUnknownError):
            pass
        ended = monotonic()
        await asyncio.sleep(0.005)


def _have_healed(net: Watched) -> bool:
    primary = net.primary()
    assert primary.server is not None
    with primary.server.client() as client:
        return int(client.info("replication")["connected_slaves"]) == len(net.data) - 1


async def test_a_start_believes_no_sentinel_that_was_cut_off(net: Watched, promise: Promise) -> None:
    old, stale = net.data[0], net.sentinels[0]
    side: list[Place | str] = [old, stale, CLIENTS]
    net.split(side, [place for place in net.places if place not in side] + [CLIENTS])
    await until(lambda: net.primary() is not old)
    assert net.primary(sentinel=0) is old

    async def start_and_save(hosts: str) -> None:
        async with opened({**net.settings, "redisHost": hosts}, dialTimeout=4.0) as store:
            await store.set(Set("k", b"new"))

    # The stale Sentinel is the first of several addresses, then the only one (it names the others).
    for hosts in (str(net.settings["redisHost"]), stale.address):
        await eventually(lambda: start_and_save(hosts))  # noqa: B023  # as a sidecar tries again to open it
        assert _value_at(net.primary(), "k") == b"new"
        assert _value_at(old, "k") is None
    promise(
        "A sidecar that starts finds the new primary even if the first Sentinel, or the only one, names the old "
        "primary",
        on="Redis 7.0, three Sentinels, two replicas",
        fault="the old primary and the Sentinel that is asked first cut off from the others",
        times=2,
        counted="0 writes went to the old primary",
    )


def _value_at(place: Place, key: str) -> object:
    assert place.server is not None
    with place.server.client() as client:
        return client.hget(key, "data")


async def test_strong_writes_to_a_primary_without_its_replicas_are_refused(net: Watched, promise: Promise) -> None:
    old = net.data[0]
    alone: list[Place | str] = [old, net.sentinels[0], CLIENTS]
    async with opened(net.settings, dialTimeout=2.0) as running:
        await running.set(Set("k", b"1", strong=True))
        net.split(alone, [place for place in net.places if place not in alone])
        await until(lambda: net.primary() is not old)
        outcomes = [await _outcome(running.set(Set("k", b"%d" % n, strong=True))) for n in range(3)]
        assert None not in outcomes
        another = RedisStore({**net.settings, "dialTimeout": 2.0})
        fault = await _outcome(another.open())
        await another.close()
        assert isinstance(fault, StoreUnavailableError), "it is cut off, with one of three Sentinels"
        refused = await eventually_refused(running)
        assert "only 1 of 3 Sentinels can be reached" in str(refused)
        net.heal()
        await eventually(lambda: running.set(Set("k", b"2")))
        found = await running.get(Get("k"))
        assert found is not None
        assert found.value == b"2"
    promise(
        "Without a majority of Sentinels, a primary that has lost its replicas gets no writes, strong or not",
        on="Redis 7.0, three Sentinels, two replicas",
        fault="the primary, one Sentinel and the sidecar cut off from the others",
        times=1,
        counted="0 writes acknowledged",
    )


async def _outcome(call: object) -> StoreError | None:
    [result] = await asyncio.gather(call, return_exceptions=True)  # type: ignore[call-overload]
    return result if isinstance(result, BaseException) else None  # type: ignore[return-value]


async def eventually_refused(store: RedisStore) -> StoreUnavailableError:
    async with asyncio.timeout(30):
        while True:
            try:
                await store.set(Set("plain", b"1"))
            except StoreUnavailableError as fault:
                return fault
            except OutcomeUnknownError:
                pass
            await asyncio.sleep(0.05)


async def test_right_after_a_start_strong_writes_need_the_replicas_that_the_sentinels_know(net: Watched) -> None:
    for replica in net.data[1:]:
        assert replica.server is not None
        replica.server.kill()
    async with opened(net.settings, dialTimeout=2.0) as store:
        await store.set(Set("k", b"1"))
        for _ in range(3):
            fault = await _outcome(store.set(Set("k", b"2", strong=True)))
            assert fault is not None
        await until_refused_up_front(store)
        found = await store.get(Get("k"))
        for replica in net.data[1:]:
            assert replica.server is not None
            await asyncio.to_thread(replica.server.start)
        await eventually(lambda: store.set(Set("k", b"3", strong=True)))
    assert found is not None


async def test_a_former_primary_that_is_promoted_without_the_strong_writes_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, promise: Promise
) -> None:
    """Redis loses them, because the servers that had them were down. The sidecar reports what it knows."""
    with watched_by_sentinels(tmp_path, 2) as net:
        async with opened(net.settings, dialTimeout=2.0, readTimeout=1.0) as store:
            former = net.primary
            await eventually(lambda: store.set(Set("k", b"1", strong=True)))
            former.kill()
            await until(lambda: net.primary_port() != former.port)
            await eventually(lambda: store.set(Set("k", b"2", strong=True)))
            for replica in net.replicas:
                replica.kill()
            await asyncio.to_thread(former.start)
            await until(lambda: net.primary_port() == former.port, 60)
            await until_refused_up_front(store)
            assert "had not copied all strong writes" in caplog.text
            caplog.clear()
            await asyncio.to_thread(net.replicas[0].start)
            await asyncio.to_thread(net.replicas[1].start)
            await eventually(lambda: store.set(Set("k", b"3", strong=True)), 60)
            assert "had not copied" not in caplog.text
    promise(
        "If a new primary lacks strong writes that the previous one acknowledged, the log names it",
        on="Redis 7.0, three Sentinels, two replicas",
        fault="a primary killed, its successor and the last replica too, and the first one promoted again",
        times=1,
        counted="lost by Redis, reported in the log, further strong writes refused until there were replicas",
    )


async def until_refused_up_front(store: RedisStore) -> None:
    async with asyncio.timeout(30):
        while True:
            fault = await _outcome(store.set(Set("refused", b"1", strong=True)))
            if type(fault) is StoreUnavailableError and "nothing was written" in str(fault):
                return
            await asyncio.sleep(0.05)
