"""ETags change with every write and never come back."""

import json

import pytest
from conformance.calls import (
    REFUSED,
    error_of,
    outcomes,
    present,
    read_all,
    send,
    send_each,
    sets,
    ways_of,
    write_all,
    written,
)
from conformance.conftest import Keys
from servers.database import Database
from servers.reads import value_of

from pannier_sidecar.state.requests import Delete, Set
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
    "the current one after a zero": "0{}",
    "the current one between spaces": " {} ",
    "the current one with a fraction": "{}.0",
}
"""ETags that no key has; in the place of {} is the one that it has."""
STALE = [b"2"] * len(STRANGE)


async def test_each_write_makes_a_new_one(
    subject: Database, store: Store, key: Keys, subtests: pytest.Subtests
) -> None:
    """Also one that writes the same value again."""
    for way in ways_of(subject):
        with subtests.test(way):
            etags = []
            for number in range(12):
                assert await send(store, way, Set(key(way), str(number // 2 % 2).encode())) is None
                etags.append((await present(store, key(way))).etag)
            assert all(etags)
            assert len(set(etags)) == len(etags)


async def test_does_not_come_back_after_delete_and_recreation(store: Store, key: Keys) -> None:
    etags = []
    for _ in range(20):
        etags.append((await written(store, key("k"))).etag)
        await store.delete(Delete(key("k")))
    assert len(set(etags)) == len(etags)
    await written(store, key("k"))
    errors = await outcomes(error_of(store.set(Set(key("k"), b"stale", etag))) for etag in etags)
    assert all(isinstance(error, REFUSED) for error in errors), errors


async def test_reading_leaves_it(store: Store, key: Keys) -> None:
    before = await written(store, key("k"))
    assert await present(store, key("k")) == before
    assert await read_all(store, [key("k")]) == [before]


@pytest.mark.on(lambda database: database.has_numbers_for_etags)
async def test_survives_being_pasted_into_json_without_quotes(store: Store, key: Keys) -> None:
    etag = (await written(store, key("k"))).etag
    assert str(int(float(json.loads(etag)))) == etag


async def test_an_invalid_etag_is_refused_and_nothing_written(
    subject: Database, store: Store, key: Keys, subtests: pytest.Subtests
) -> None:
    known, absent = ([key(f"{number} {kind}") for number in range(len(STRANGE))] for kind in ("known", "absent"))
    await write_all(store, sets(known))
    before = [await present(store, name) for name in known]
    etags = [form.format(found.etag) for form, found in zip(STRANGE.values(), before, strict=True)]
    for way in ways_of(subject):
        of_each = zip(
            await send_each(store, way, [Set(*each) for each in zip(known, STALE, etags, strict=True)]),
            await send_each(store, way, [Delete(*each) for each in zip(known, etags, strict=True)]),
            await send_each(store, way, [Set(*each) for each in zip(absent, STALE, etags, strict=True)]),
            strict=True,
        )
        after = await read_all(store, [*known, *absent])
        for place, (name, errors) in enumerate(zip(STRANGE, of_each, strict=True)):
            with subtests.test(f"{name}, {way}"):
                assert [isinstance(error, REFUSED) for error in errors] == [True] * 3, errors
                assert [after[place], after[len(known) + place]] == [before[place], None]


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
