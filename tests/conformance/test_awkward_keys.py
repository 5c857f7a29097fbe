"""Any text is a key, and no two texts are one key."""

import pytest
from conformance.calls import all_keys, outcomes, read_all, value_in, write_all
from conformance.conftest import Keys
from servers.reads import value_of

from pannier_sidecar.state.requests import Delete, Set
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


LOOKALIKES = ("a b ", "a/b/c", "A/B//C/../D", "aa", "AA", "a_b%c", "e", "a", "*", "%", "_", "b", "{a}", "a|b", "42.0")


async def test_each_is_written_read_and_deleted_for_itself(store: Store, key: Keys, subtests: pytest.Subtests) -> None:
    """All are there at the same time, beside other keys that they could be taken for."""
    names = {**NAMES, **{f"what others may be taken for: {name}": name for name in LOOKALIKES}}
    keys = [key(name) for name in names.values()]
    values = [str(number).encode() for number in range(len(keys))]
    created = await outcomes(store.set(Set(*each)) for each in zip(keys, values, strict=True))
    alone = await outcomes(value_of(store, each) for each in keys)
    together = await read_all(store, keys)
    deleted: list[object] = [None] * len(keys)
    deleted[::2] = await outcomes(store.delete(Delete(each)) for each in keys[::2])
    without_one_half = await read_all(store, keys)
    deleted[1::2] = await outcomes(store.delete(Delete(each)) for each in keys[1::2])
    at_the_end = await read_all(store, keys)
    for place, (kind, value) in enumerate(zip(names, values, strict=True)):
        with subtests.test(kind):
            assert (created[place], deleted[place]) == (None, None)
            assert alone[place] == value
            assert value_in(together[place]) == value
            assert value_in(without_one_half[place]) == (value if place % 2 else None)
            assert at_the_end[place] is None


@pytest.mark.topic("listing keys", Feature.KEYS_LIKE)
async def test_are_listed_as_they_were_written(store: Store, key: Keys, prefix: str, subtests: pytest.Subtests) -> None:
    await write_all(store, [Set(key(name), b"1") for name in NAMES.values()])
    listed = await all_keys(store, prefix, 4)
    for kind, name in NAMES.items():
        with subtests.test(kind):
            assert listed.count(key(name)) == 1
    assert len(listed) == len(NAMES)


@pytest.mark.topic("transactions", Feature.TRANSACTIONAL)
async def test_can_be_in_a_transaction(store: Store, key: Keys, subtests: pytest.Subtests) -> None:
    keys = [key(name) for name in NAMES.values()]
    values = [str(number).encode() for number in range(len(keys))]
    await store.transact([Set(*each) for each in zip(keys, values, strict=True)])
    written = await read_all(store, keys)
    await store.transact([Delete(each) for each in keys])
    deleted = await read_all(store, keys)
    for kind, value, before, after in zip(NAMES, values, written, deleted, strict=True):
        with subtests.test(kind):
            assert value_in(before) == value
            assert after is None


async def test_the_longest_key_is_taken_and_one_that_differs_at_its_end_is_another(
    store: Store, key: Keys, subtests: pytest.Subtests
) -> None:
    room = store.max_key_bytes - len(key("").encode()) - 1
    for size, letter in {"one byte": "k", "two bytes": "ü", "four bytes": "😀"}.items():
        with subtests.test(size):
            longest = key(letter * (room // len(letter.encode())))
            await store.set(Set(longest + "a", b"a"))
            await store.set(Set(longest + "b", b"b"))
            assert await value_of(store, longest + "a") == b"a"
            assert await value_of(store, longest + "b") == b"b"
