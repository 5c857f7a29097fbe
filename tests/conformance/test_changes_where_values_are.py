"""Increments and appends by several sidecars at once: none is lost, and each caller learns the outcome of its own."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from conformance.calls import present
from conformance.conftest import Keys
from servers.database import Database
from servers.reads import value_of

from pannier_sidecar.state.bytes_in_flight import BytesInFlight, Unlimited
from pannier_sidecar.state.changes import UNGIVEN, Append, Change, GetAndSet, Increment, Touch
from pannier_sidecar.state.directory import ServedStore
from pannier_sidecar.state.errors import ETagMismatchError
from pannier_sidecar.state.errors.of_changes import ExpiryNotGivenError
from pannier_sidecar.state.hot_keys import HotKeys, Place
from pannier_sidecar.state.idempotency import once_of
from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.state.store import Feature, Store

pytestmark = pytest.mark.topic("concurrent calls", Feature.ETAG)

SIDECARS = 3
CALLERS = 32
"""Callers of one sidecar that wait at the same time."""


class Sidecar:
    """What one sidecar has of its own: its queues. The store is shared."""

    def __init__(self, store: Store):
        self.keys = HotKeys(BytesInFlight(2**30, Unlimited()))
        self.served = ServedStore("statestore", "any", "v1", store, KeyScheme(store="statestore", app_id="app"))

    async def change(self, key: str, change: Change, *, etag: str | None = None, ttl: int | None = UNGIVEN) -> object:
        place = Place(self.served, key)
        return (await self.keys.change(place, change, etag=etag, ttl=ttl, strong=False)).value

    async def change_once(self, key: str, change: Change, idempotency_key: str) -> object:
        once = once_of(self.served, "app", key, {}, idempotency_key, change)
        place = Place(self.served, key)
        return (await self.keys.change(place, change, etag=None, ttl=UNGIVEN, strong=False, once=once)).value


async def test_each_change_is_carried_out(store: Store, key: Keys) -> None:
    sidecar = Sidecar(store)
    assert await sidecar.change(key("n"), Increment("n", 5, initial=2)) == 7
    assert await sidecar.change(key("n"), Increment("n", 2**60)) == 2**60 + 7
    assert await sidecar.change(key("l"), Append("l", [b'"a"', b"2"])) == 2
    assert await sidecar.change(key("l"), Append("l", [b"3"], 2)) == 2
    assert await sidecar.change(key("l"), GetAndSet("l", b"{}")) == b"[2,3]"
    assert await sidecar.change(key("absent"), Touch("absent"), ttl=60) is False
    assert await value_of(store, key("n")) == b"%d" % (2**60 + 7)
    assert await value_of(store, key("l")) == b"{}"


@pytest.mark.topic("TTL", Feature.TTL)
async def test_a_touch_changes_the_expiry_alone(store: Store, key: Keys) -> None:
    sidecar = Sidecar(store)
    await sidecar.change(key("n"), Increment("n"))
    assert await sidecar.change(key("n"), Touch("n"), ttl=1000) is True
    found = await store.get(Get(key("n")))
    assert found is not None
    assert (found.value, found.expires_at is None) == (b"1", False)
    assert await sidecar.change(key("n"), Touch("n"), ttl=None) is True
    found = await store.get(Get(key("n")))
    assert found is not None
    assert (found.value, found.expires_at) == (b"1", None)


@pytest.mark.topic("TTL", Feature.TTL)
async def test_a_change_without_a_ttl_keeps_the_expiry_or_is_refused(store: Store, key: Keys) -> None:
    if store.keeps_expiry:
        await keeps_expiry(store, key, store.set)
        return
    sidecar = Sidecar(store)
    await sidecar.change(key("n"), Increment("n"), ttl=1000)
    with pytest.raises(ExpiryNotGivenError):
        await sidecar.change(key("n"), Increment("n"))


@pytest.mark.on(lambda database: database.store_class.keeps_expiry)
@pytest.mark.topic("transactions", Feature.TRANSACTIONAL)
async def test_a_transaction_keeps_an_expiry(store: Store, key: Keys) -> None:
    await keeps_expiry(store, key, lambda write: store.transact([write, Set(key("beside"), b"1")]))


async def keeps_expiry(store: Store, key: Keys, carry_out: Callable[[Set], Awaitable[None]]) -> None:
    """Write a value over one that expires, and check that it expires at the same time."""
    await store.set(Set(key("k"), b"1", ttl=1000))
    before = await present(store, key("k"))
    await asyncio.sleep(1.1)  # more than the second by which databases round
    await carry_out(Set(key("k"), b"2", before.etag, kept_expiry=before.expires_at))
    after = await present(store, key("k"))
    assert (after.value, after.etag == before.etag) == (b"2", False)
    assert before.expires_at is not None
    assert after.expires_at is not None
    assert abs(after.expires_at - before.expires_at) <= 1
    with pytest.raises(ETagMismatchError):
        await carry_out(Set(key("k"), b"3", before.etag, kept_expiry=before.expires_at))


@pytest.mark.timeout(240)  # each write waits for a disk, if there is one
async def test_thousands_of_changes_by_several_sidecars_lose_none(
    subject: Database, store: Store, key: Keys, pytestconfig: pytest.Config
) -> None:
    sidecars = [Sidecar(store) for _ in range(SIDECARS)]
    callers = [sidecar for sidecar in sidecars for _ in range(CALLERS)]
    each = max(1, (pytestconfig.getoption("--changes") or subject.increments) // len(callers))
    total = each * len(callers)
    numbers: list[object] = []
    lengths: list[object] = []

    async def call(sidecar: Sidecar, name: int) -> None:
        for turn in range(each):
            element = b"%d" % (name * each + turn)
            numbers.append(await sidecar.change(key("n"), Increment("n")))
            lengths.append(await sidecar.change(key("l"), Append("l", [element], total // 2)))

    await asyncio.gather(*(call(sidecar, name) for name, sidecar in enumerate(callers)))
    assert sorted(map(str, numbers)) == sorted(str(number) for number in range(1, total + 1))
    assert await value_of(store, key("n")) == b"%d" % total
    left = (await value_of(store, key("l")) or b"")[1:-1].split(b",")
    assert len(set(left)) == len(left) == total // 2
    assert sorted(map(str, lengths)) == sorted(str(min(length, total // 2)) for length in range(1, total + 1))


@pytest.mark.on(lambda database: Feature.TRANSACTIONAL in database.claims and database.transactions_may_race)
@pytest.mark.timeout(240)
async def test_requests_sent_twice_to_several_sidecars_are_carried_out_once(
    subject: Database, store: Store, key: Keys, pytestconfig: pytest.Config
) -> None:
    sidecars = [Sidecar(store) for _ in range(SIDECARS)]
    callers = 2 * SIDECARS
    each = max(2, (pytestconfig.getoption("--changes") or subject.increments // 5) // callers)
    total = each * callers

    async def call(caller: int) -> None:
        for turn in range(each):
            number = caller * each + turn
            first, second = sidecars[number % SIDECARS], sidecars[(number + 1) % SIDECARS]
            for name, change in (("n", Increment("n")), ("l", Append("l", [b"%d" % number]))):
                sent = [one.change_once(key(name), change, f"of {number}") for one in (first, second)]
                answers = await asyncio.gather(*sent)
                assert answers[0] == answers[1]
                assert await first.change_once(key(name), change, f"of {number}") == answers[0]

    await asyncio.gather(*map(call, range(callers)))
    assert await value_of(store, key("n")) == b"%d" % total
    elements = (await value_of(store, key("l")) or b"")[1:-1].split(b",")
    assert sorted(map(int, elements)) == list(range(total))
