"""Opening, probing and closing."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from conformance.calls import begun_get, begun_write, written
from conformance.conftest import Keys
from servers.database import Database

from pannier_sidecar.state.errors import StoreError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Feature, Store

pytestmark = pytest.mark.topic("opening and closing")

CALLS: dict[str, Callable[[Store, str], Awaitable[Any]]] = {
    "get": lambda store, key: store.get(Get(key)),
    "set": lambda store, key: store.set(Set(key, b"1")),
    "delete": lambda store, key: store.delete(Delete(key)),
    "begin_get": lambda store, key: begun_get(store, Get(key)),
    "begin_write": lambda store, key: begun_write(store, Delete(key)),
    "bulk_get": lambda store, key: store.bulk_get([Get(key)]),
    "bulk_write": lambda store, key: store.bulk_write([Set(key, b"1"), Delete(f"{key} too")]),
    "transact": lambda store, key: store.transact([Set(key, b"1")]),
    "keys": lambda store, key: store.keys(key, 10, None),
    "ping": lambda store, key: store.ping(),
}
NEEDED = {"transact": Feature.TRANSACTIONAL, "keys": Feature.KEYS_LIKE}


async def test_does_what_the_catalogue_says_of_it(store: Store, subject: Database) -> None:
    assert store.features == subject.claims
    described = subject.kind_with(())
    assert described.is_pluggable or {feature.value for feature in store.features} == set(described.features)


async def test_a_call_before_opening_fails_and_says_so(
    make_store: Callable[[], Store], subject: Database, key: Keys, subtests: pytest.Subtests
) -> None:
    store = make_store()
    for name in calls_of(subject):
        with subtests.test(name):
            await unavailable(CALLS[name](store, key("k")))


async def test_a_call_after_closing_fails_and_says_so(
    make_store: Callable[[], Store], subject: Database, key: Keys, subtests: pytest.Subtests
) -> None:
    store = make_store()
    await store.open()
    await store.close()
    for name in calls_of(subject):
        with subtests.test(name):
            await unavailable(CALLS[name](store, key("k")))


def calls_of(subject: Database) -> list[str]:
    return [name for name in CALLS if name not in NEEDED or NEEDED[name] in subject.claims]


async def unavailable(call: Awaitable[Any]) -> None:
    """Bulk calls report it item by item; a bulk read may also fail as a whole."""
    try:
        answers = await call
    except StoreUnavailableError as error:
        answers = [error]
    assert answers
    for answer in answers:
        assert isinstance(answer, StoreUnavailableError)
        assert str(answer)


async def test_closing_is_harmless_at_any_time(make_store: Callable[[], Store], subtests: pytest.Subtests) -> None:
    with subtests.test("before opening"):
        await make_store().close()
    with subtests.test("after an opening that was given up"):
        store = make_store()
        opening = asyncio.create_task(store.open())
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await store.close()
    with subtests.test("twice"):
        store = make_store()
        await store.open()
        await store.close()
        await store.close()


async def test_calls_in_flight_when_it_closes_end(make_store: Callable[[], Store], key: Keys) -> None:
    store = make_store()
    await store.open()
    ways = store.set, partial(begun_write, store)
    calls = [asyncio.create_task(ways[number % 2](Set(key(str(number)), b"1"))) for number in range(50)]
    await asyncio.sleep(0)
    await store.close()
    async with asyncio.timeout(10):
        ends = await asyncio.gather(*calls, return_exceptions=True)
    assert all(end is None or isinstance(end, StoreError) for end in ends), ends


async def test_opens_again_and_again(make_store: Callable[[], Store], key: Keys) -> None:
    for number in range(5):
        store = make_store()
        await store.open()
        await store.ping()
        await written(store, key(str(number)))
        await store.close()
