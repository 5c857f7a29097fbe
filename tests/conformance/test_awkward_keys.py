"""Any text is a key, and no two texts are one key."""

import pytest
from conformance.calls import all_keys, value_of, write_all
from conformance.conftest import Keys

from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Feature, Store

pytestmark = pytest.mark.topic("keys of any text")

NAMES = {
    "a space": "a b",
    "spaces at the ends": " a ",
    "slashes": "a/b//c/../d",
    "only dots": "..",
    "quotes": "'a' \"b\" `c`",
    "an injection": "'; DROP TABLE state; --",
    "percent": "100%25",
    "SQL wildcards": "a_b%c\\_",
    "glob characters": "*?[a-z]{x,y}!",
    "braces, as in hash tags": "{a}{b}",
    "separators": "a|b:c;d,e-f",
    "control characters": "a\tb\r\nc\x7f",
    "NUL": "a\0b",
    "upper and lower case": "aA",
    "accents composed": "\u00e9",
    "accents decomposed": "e\u0301",
    "other scripts": "ключ 鍵 مفتاح",
    "beyond the first plane": "😀\U0010ffff",
    "last of the first plane": "\uffff",
    "just a number": "42",
    "an underscore field": "__proto__",
    "a dot": ".",
    "what URLs are made of": "+?q=1&;=#x",
    "a quote and a backslash": "'\"\\",
}


async def test_can_be_written_read_and_deleted(store: Store, key: Keys, subtests: pytest.Subtests) -> None:
    for kind, name in NAMES.items():
        with subtests.test(kind):
            await store.set(Set(key(name), b"1"))
            assert await value_of(store, key(name)) == b"1"
            [entry] = await store.bulk_get([Get(key(name))])
            assert entry is not None
            await store.delete(Delete(key(name)))
            assert await value_of(store, key(name)) is None


async def test_no_two_keys_are_taken_for_one(store: Store, key: Keys) -> None:
    names = [*NAMES.values(), "a b ", "a/b/c", "aa", "AA", "a_b%c", "e", "a", "*", "%", "_", "b", "{a}", "a|b", "42.0"]
    for number, name in enumerate(names):
        await store.set(Set(key(name), str(number).encode()))
    found = await store.bulk_get([Get(key(name)) for name in names])
    assert [entry and entry.value for entry in found] == [str(number).encode() for number in range(len(names))]


@pytest.mark.topic("listing keys", Feature.KEYS_LIKE)
async def test_are_listed_as_they_were_written(store: Store, key: Keys, prefix: str) -> None:
    await write_all(store, [Set(key(name), b"1") for name in NAMES.values()])
    assert sorted(await all_keys(store, prefix, 4)) == sorted(map(key, NAMES.values()))


@pytest.mark.topic("transactions", Feature.TRANSACTIONAL)
async def test_can_be_in_a_transaction(store: Store, key: Keys) -> None:
    await store.transact([Set(key(name), b"1") for name in NAMES.values()])
    await store.transact([Delete(key(name)) for name in NAMES.values()])
    assert not any(await store.bulk_get([Get(key(name)) for name in NAMES.values()]))


@pytest.mark.parametrize("letter", ["k", "ü", "😀"], ids=["one byte", "two bytes", "four bytes"])
async def test_the_longest_key_is_taken_and_one_that_differs_at_its_end_is_another(
    store: Store, key: Keys, letter: str
) -> None:
    room = store.max_key_bytes - len(key("").encode()) - 1
    longest = key(letter * (room // len(letter.encode())))
    await store.set(Set(longest + "a", b"a"))
    await store.set(Set(longest + "b", b"b"))
    assert await value_of(store, longest + "a") == b"a"
    assert await value_of(store, longest + "b") == b"b"
