"""An increment whose connection to the database is cut after the work: its callers learn that the outcome is unknown,
it is never made a second time, and with an Idempotency-Key a repetition through another sidecar gets the first result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hostile.effort import Effort
from hostile.partitions.conftest import Both
from servers.cutting_proxy import CuttingProxy
from servers.database import Database, Server
from servers.databases import named
from servers.eventually import eventually
from servers.proxy_setups import PROXY_SETUPS

from pannier_sidecar.state.bytes_in_flight import BytesInFlight, Unlimited
from pannier_sidecar.state.changes import UNGIVEN, Append, Change, Increment
from pannier_sidecar.state.delegating_store import DelegatingStore
from pannier_sidecar.state.directory import ServedStore
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError
from pannier_sidecar.state.hot_keys import HotKeys, Place
from pannier_sidecar.state.idempotency import once_of
from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.requests import Get, Set, Write
from pannier_sidecar.state.store import Store, StoredValue

Promise = Callable[..., None]
WAITING = 5
"""Calls that become one write."""
LIMIT_S = 30.0
FAULT = "the connection is cut after the server's work"


@pytest.fixture(scope="module", params=["redis", "postgresql-v2"])
def subject(request: pytest.FixtureRequest) -> Database:
    return named(request.param)


class CutStore(DelegatingStore):
    """A store whose next write is cut off after the server's work."""

    def __init__(self, inner: Store, proxy: CuttingProxy, commit: dict[str, tuple[bytes, int]]):
        super().__init__(inner)
        self._proxy = proxy
        self._commit = commit

    def _arm(self, case: str) -> None:
        self._proxy.arm("after", *self._commit.get(case, (b"cut-me", 0)))

    async def get(self, get: Get) -> StoredValue | None:
        return await self.inner.get(get)

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        return await self.inner.bulk_get(gets)

    async def set(self, write: Set) -> None:
        self._arm("set by ETag")
        await self.inner.set(write)

    async def delete(self, write: Any) -> None:
        raise NotImplementedError

    async def transact(self, writes: Sequence[Write]) -> None:
        self._arm("transaction")
        await self.inner.transact(writes)


class Sidecar:
    """What one sidecar has of its own."""

    def __init__(self, store: Store):
        self._keys = HotKeys(BytesInFlight(2**30, Unlimited()))
        self._served = ServedStore("statestore", "any", "v1", store, KeyScheme(store="statestore", app_id="app"))

    async def change(self, key: str, change: Change, idempotency_key: str | None = None) -> object:
        place = Place(self._served, key)
        once = None if idempotency_key is None else once_of(self._served, "app", key, {}, idempotency_key, change)
        return (await self._keys.change(place, change, etag=None, ttl=UNGIVEN, strong=False, once=once)).value


@pytest.fixture
def cut(both: Both, subject: Database) -> Sidecar:
    """A sidecar whose writes lose their answers."""
    return Sidecar(CutStore(both.ours, both.proxy, dict(PROXY_SETUPS[subject.name].commit)))


async def lost(both: Both, calls: Sequence[Any], key: str, meanwhile: bytes | None = None) -> list[object]:
    """Lose the answer to the write that the calls become, after another client has perhaps written the key."""
    before = await both.found(key)
    task = asyncio.gather(*calls, return_exceptions=True)
    await both.proxy.met()
    async with asyncio.timeout(LIMIT_S):
        while await both.found(key) == before:
            await asyncio.sleep(0.01)
    if meanwhile is not None:
        await both.theirs.set(Set(key, meanwhile))
    both.proxy.cut()
    outcomes = await asyncio.wait_for(task, LIMIT_S)
    await eventually(lambda: both.ours.ping())
    return outcomes


@pytest.mark.timeout(600)
async def test_a_change_whose_answer_is_lost_is_unknown_and_never_repeated(
    both: Both, cut: Sidecar, server: Server, effort: Effort, promise: Promise
) -> None:
    times = effort.times(2, 20)
    for number in range(times):
        for name, change, begins, meanwhile in (
            ("increment", Increment("k"), b"41", b"100"),
            ("append", Append("k", [b"1"]), b"[0]", b"[7]"),
        ):
            key = f"cut-me-{name}-{number}"
            await both.theirs.set(Set(key, begins))
            outcomes = await lost(both, [cut.change(key, change) for _ in range(WAITING)], key, meanwhile)
            assert [type(each) for each in outcomes] == [OutcomeUnknownError] * WAITING
            last = await both.found(key)
            assert last is not None
            assert last.value == meanwhile, "the change came a second time"
    promise(
        "Each caller of an increment or append whose answer is lost learns that its outcome is unknown, and it is not "
        "made again",
        on=server.version,
        fault=f"{FAULT}; another client writes the key before that",
        times=2 * times,
        counted=f"{2 * times * WAITING} calls unknown; 0 repeated",
    )


@pytest.mark.timeout(600)
async def test_a_repetition_with_its_idempotency_key_is_carried_out_once(
    both: Both, cut: Sidecar, server: Server, effort: Effort, promise: Promise
) -> None:
    times = effort.times(2, 20)
    another = Sidecar(both.theirs)
    for number in range(times):
        key = f"cut-me-once-{number}"
        await both.theirs.set(Set(key, b"41"))
        calls = [cut.change(key, Increment("k"), f"key {each}") for each in range(WAITING)]
        outcomes = await lost(both, calls, key)
        assert [type(each) for each in outcomes] == [OutcomeUnknownError] * WAITING
        assert await another.change(key, Increment("k")) == 42 + WAITING
        repeated = [await another.change(key, Increment("k"), f"key {each}") for each in range(WAITING)]
        assert repeated == list(range(42, 42 + WAITING))
        last = await both.found(key)
        assert last is not None
        assert last.value == b"%d" % (42 + WAITING)
    promise(
        "An increment whose answer is lost and that is repeated with its Idempotency-Key through another sidecar is "
        "carried out once, and gets the first result",
        on=server.version,
        fault=FAULT,
        times=times,
        counted=f"{times * WAITING} calls repeated; {times * WAITING} carried out once",
    )
