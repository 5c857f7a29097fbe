"""Many tasks at once: nothing is lost, and only one of several racing writes wins."""

import asyncio
import random

import pytest
from conformance.calls import error_of, present, write_all, written
from conformance.conftest import Keys
from servers.database import Database
from servers.reads import value_of

from pannier_sidecar.state.errors import ETagMismatchError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Feature, Store

pytestmark = pytest.mark.topic("concurrent calls", Feature.ETAG)

TASKS = 100


def racers(subject: Database) -> range:
    """Return numbers for tasks that run at once: 200, or fewer where each call takes long."""
    return range(min(200, subject.many // 10))


async def increment(store: Store, key: str) -> int:
    """Add one; return how many attempts it took."""
    for attempt in range(1, 100_000):
        found = await present(store, key)
        await asyncio.sleep(0)  # so that the others have their turn if a store never waits
        try:
            await store.set(Set(key, str(int(found.value) + 1).encode(), found.etag))
            return attempt
        except ETagMismatchError:
            await asyncio.sleep(random.uniform(0, 0.1))
    raise AssertionError("never won")


@pytest.mark.timeout(240)  # each increment waits for a disk, if there is one
async def test_thousands_of_increments_of_one_key_lose_none(subject: Database, store: Store, key: Keys) -> None:
    await store.set(Set(key("k"), b"0"))
    tasks = min(TASKS, subject.increments // 10)
    each = subject.increments // tasks

    async def some() -> None:
        for _ in range(each):
            await increment(store, key("k"))
            await asyncio.sleep(0)

    await asyncio.gather(*(some() for _ in range(tasks)))
    assert await value_of(store, key("k")) == str(tasks * each).encode()


async def test_one_of_many_writers_wins(subject: Database, store: Store, key: Keys, subtests: pytest.Subtests) -> None:
    with subtests.test("creating"):
        creations = [Set(key("k"), str(number).encode(), if_absent=True) for number in racers(subject)]
        won = [error is None for error in await asyncio.gather(*(error_of(store.set(each)) for each in creations))]
        assert won.count(True) == 1
        assert await value_of(store, key("k")) == creations[won.index(True)].value
    with subtests.test("replacing"):
        etag = (await written(store, key("k"))).etag
        replacements = [Set(key("k"), str(number).encode(), etag) for number in racers(subject)]
        won = [error is None for error in await asyncio.gather(*(error_of(store.set(each)) for each in replacements))]
        assert won.count(True) == 1
        assert await value_of(store, key("k")) == replacements[won.index(True)].value
    with subtests.test("deleting"):
        etag = (await written(store, key("k"))).etag
        errors = await asyncio.gather(*(error_of(store.delete(Delete(key("k"), etag))) for _ in racers(subject)))
        assert errors.count(None) == 1
        assert await value_of(store, key("k")) is None


@pytest.mark.on(lambda database: database.transactions_may_race)
@pytest.mark.topic("transactions", Feature.TRANSACTIONAL)
async def test_transfers_between_accounts_neither_make_nor_lose_money(
    subject: Database, store: Store, key: Keys
) -> None:
    accounts = [key(str(number)) for number in range(5)]
    for account in accounts:
        await store.set(Set(account, b"100"))

    async def transfer(seed: int) -> bool:
        source, target = random.Random(seed).sample(accounts, 2)
        paying, paid = [await present(store, account) for account in (source, target)]
        writes = [
            Set(source, str(int(paying.value) - 1).encode(), paying.etag),
            Set(target, str(int(paid.value) + 1).encode(), paid.etag),
        ]
        return await error_of(store.transact(writes)) is None

    done = await asyncio.gather(*map(transfer, racers(subject)))
    assert any(done)
    assert sum([int(await value_of(store, account) or 0) for account in accounts]) == 500


@pytest.mark.topic("transactions", Feature.TRANSACTIONAL)
async def test_no_reader_sees_half_a_transaction(subject: Database, store: Store, key: Keys) -> None:
    pair = [key("left"), key("right")]
    await store.transact([Set(name, b"0") for name in pair])

    async def write() -> None:
        for number in racers(subject):
            await store.transact([Set(name, str(number).encode()) for name in pair])

    writing = asyncio.create_task(write())
    reads = 0
    while not writing.done():
        left, right = await asyncio.gather(*(value_of(store, name) for name in pair))
        newer = await value_of(store, pair[0])
        assert int(right or -1) <= int(newer or -1), "right was seen before left was there"
        assert int(left or -1) <= int(newer or -1)
        reads += 1
        await asyncio.sleep(0)
    await writing
    assert reads


async def test_hundreds_of_tasks_each_find_what_they_wrote(subject: Database, store: Store, key: Keys) -> None:
    async def live(number: int) -> None:
        chance = random.Random(number)
        name = key(f"of task {number}")
        value: bytes | None = None
        for step in range(15):
            match chance.randrange(5):
                case 0:
                    value = f"{number} {step}".encode()
                    await store.set(Set(name, value))
                case 1:
                    value = b"\xff" * chance.randrange(100)
                    await write_all(store, [Set(name, value)])
                case 2:
                    value = None
                    await store.delete(Delete(name))
                case 3:
                    [entry] = await store.bulk_get([Get(name)])
                    assert (entry and entry.value) == value
                case _:
                    created = await error_of(store.set(Set(name, b"created", if_absent=True))) is None
                    assert created is (value is None)
                    value = b"created" if created else value
            assert await value_of(store, name) == value

    await asyncio.gather(*map(live, racers(subject)))


async def test_calls_that_their_caller_gives_up_harm_no_others(store: Store, key: Keys) -> None:
    calls = [asyncio.create_task(store.set(Set(key(str(number)), b"1"))) for number in range(100)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert [await value_of(store, key(str(number))) for number in range(1, 100, 2)] == [b"1"] * 50
    await written(store, key("after"))
