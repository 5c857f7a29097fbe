"""ETags change with every write and never come back."""

import json

import pytest
from conformance.calls import REFUSED, WAYS, error_of, present, send, value_of, written
from conformance.conftest import Keys

from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Feature, Store

pytestmark = pytest.mark.topic("ETags", Feature.ETAG)

STRANGE = {
    "zero": "0",
    "negative": "-1",
    "beyond 64 bits": "99999999999999999999",
    "a fraction": "1.0",
    "padded": "01",
    "with spaces": " 1 ",
    "a word": "abc",
    "a UUID": "0f5f8a1c-2b57-4d8e-9a0e-2f1c1a6e9d11",
    "quoted": '"1"',
    "weak": 'W/"1"',
    "any": "*",
    "unprintable": "\x00\n",
    "not ASCII": "ü",
    "very long": "9" * 5000,
    "an injection": "' OR '1'='1",
    "two numbers": "1-2",
}


@pytest.mark.parametrize("way", WAYS)
async def test_each_write_makes_a_new_one(store: Store, key: Keys, way: str) -> None:
    etags = []
    for number in range(20):
        assert await send(store, way, Set(key("k"), str(number % 2).encode())) is None
        etags.append((await present(store, key("k"))).etag)
    assert all(etags)
    assert len(set(etags)) == len(etags)


async def test_writing_the_same_value_makes_a_new_one(store: Store, key: Keys) -> None:
    first = await written(store, key("k"), b"1")
    second = await written(store, key("k"), b"1")
    assert first.etag != second.etag


async def test_does_not_come_back_after_delete_and_recreation(store: Store, key: Keys) -> None:
    etags = []
    for _ in range(20):
        etags.append((await written(store, key("k"))).etag)
        await store.delete(Delete(key("k")))
    assert len(set(etags)) == len(etags)
    await written(store, key("k"))
    for etag in etags:
        assert isinstance(await error_of(store.set(Set(key("k"), b"stale", etag))), REFUSED)


async def test_reading_leaves_it(store: Store, key: Keys) -> None:
    before = await written(store, key("k"))
    assert await present(store, key("k")) == before
    assert list(await store.bulk_get([Get(key("k"))])) == [before]


@pytest.mark.on(lambda database: database.has_numbers_for_etags)
async def test_survives_being_pasted_into_json_without_quotes(store: Store, key: Keys) -> None:
    etag = (await written(store, key("k"))).etag
    assert str(int(float(json.loads(etag)))) == etag


@pytest.mark.parametrize("way", WAYS)
async def test_an_invalid_etag_is_refused_and_nothing_written(
    store: Store, key: Keys, way: str, subtests: pytest.Subtests
) -> None:
    for number, (name, etag) in enumerate(STRANGE.items()):
        known, absent = key(f"{number} known"), key(f"{number} absent")
        with subtests.test(name):
            before = await written(store, known)
            assert isinstance(await send(store, way, Set(known, b"2", etag)), REFUSED)
            assert isinstance(await send(store, way, Delete(known, etag)), REFUSED)
            assert await present(store, known) == before
            assert isinstance(await send(store, way, Set(absent, b"2", etag)), REFUSED)
            assert await value_of(store, absent) is None


async def test_the_etag_of_a_conditional_write_is_like_any_other(store: Store, key: Keys) -> None:
    etag = (await written(store, key("k"), b"0")).etag
    for number in range(1, 6):
        await store.set(Set(key("k"), str(number).encode(), etag))
        found = await present(store, key("k"))
        assert found.value == str(number).encode()
        assert found.etag != etag
        etag = found.etag


async def test_first_write_leaves_no_mark_that_hinders_later_writes(store: Store, key: Keys) -> None:
    await store.set(Set(key("k"), b"1", if_absent=True))
    await store.set(Set(key("k"), b"2"))
    await store.set(Set(key("k"), b"3", (await present(store, key("k"))).etag))
    await store.delete(Delete(key("k")))
    assert await value_of(store, key("k")) is None
