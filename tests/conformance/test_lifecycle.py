"""Opening, probing and closing."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from conformance.calls import begun_get, begun_write, needs_begun_calls, written
from conformance.conftest import Keys
from servers.database import Database

from pannier_crds.catalogue import component_type
from pannier_sidecar.state.errors import StoreError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Feature, Store

pytestmark = pytest.mark.topic("opening and closing")

needs = pytest.mark.needs

CALLS = (
    pytest.param(lambda store, key: store.get(Get(key)), id="get"),
    pytest.param(lambda store, key: store.set(Set(key, b"1")), id="set"),
    pytest.param(lambda store, key: store.delete(Delete(key)), id="delete"),
    pytest.param(lambda store, key: begun_get(store, Get(key)), id="begin_get", marks=needs_begun_calls),
    pytest.param(lambda store, key: begun_write(store, Delete(key)), id="begin_write", marks=needs_begun_calls),
    pytest.param(lambda store, key: store.bulk_get([Get(key)]), id="bulk_get"),
    pytest.param(lambda store, key: store.bulk_write([Set(key, b"1")]), id="bulk_write"),
    pytest.param(
        lambda store, key: store.transact([Set(key, b"1")]), id="transact", marks=needs(Feature.TRANSACTIONAL)
    ),
    pytest.param(lambda store, key: store.keys(key, 10, None), id="keys", marks=needs(Feature.KEYS_LIKE)),
    pytest.param(lambda store, key: store.ping(), id="ping"),
)


async def test_does_what_the_catalogue_says_of_it(store: Store, subject: Database) -> None:
    assert store.features == subject.claims
    described = component_type(subject.store_type, subject.store_version)
    assert described is not None
    assert {feature.value for feature in store.features} == set(described.features)


async def test_answers_a_ping(store: Store) -> None:
    await store.ping()


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_after_closing_fails_and_says_so(
    make_store: Callable[[], Store], key: Keys, call: Callable[..., Any]
) -> None:
    store = make_store()
    await store.open()
    await store.close()
    await unavailable(call(store, key("k")))


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_before_opening_fails_and_says_so(
    make_store: Callable[[], Store], key: Keys, call: Callable[..., Any]
) -> None:
    await unavailable(call(make_store(), key("k")))


async def unavailable(call: Any) -> None:
    """Bulk calls report it item by item; a bulk read may also fail as a whole."""
    try:
        [answer] = await call
    except StoreUnavailableError as error:
        answer = error
    assert isinstance(answer, StoreUnavailableError)
    assert str(answer)


async def test_a_bulk_write_after_closing_fails_each_item(make_store: Callable[[], Store], key: Keys) -> None:
    store = make_store()
    await store.open()
    await store.close()
    errors = await store.bulk_write([Set(key("a"), b"1"), Delete(key("b"))])
    assert [isinstance(error, StoreUnavailableError) for error in errors] == [True, True]


async def test_closing_twice_is_harmless(make_store: Callable[[], Store]) -> None:
    store = make_store()
    await store.open()
    await store.close()
    await store.close()


async def test_closing_before_opening_is_harmless(make_store: Callable[[], Store]) -> None:
    await make_store().close()


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
        await written(store, key(str(number)))
        await store.close()


async def test_opening_that_is_given_up_leaves_nothing_behind(make_store: Callable[[], Store]) -> None:
    store = make_store()
    opening = asyncio.create_task(store.open())
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    await store.close()
