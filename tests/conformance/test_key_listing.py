"""Every key that exists throughout is listed once, page by page."""

import random

import pytest
from conformance.calls import all_keys, deletes, error_of, sets, write_all, written
from conformance.conftest import Keys

from pannier_sidecar.state.errors import InvalidCursorError
from pannier_sidecar.state.requests import Delete
from pannier_sidecar.state.store import Feature, Store

pytestmark = pytest.mark.topic("listing keys", Feature.KEYS_LIKE)


async def test_pages_hold_every_key_once(store: Store, key: Keys, prefix: str, subtests: pytest.Subtests) -> None:
    page = await store.keys(prefix, 10, None)
    assert (list(page.keys), page.cursor) == ([], None)
    names = [key(f"{number:03}") for number in range(100)]
    await write_all(store, sets(random.sample(names, len(names))))
    for start, limit in (("00", 1), ("09", 1), ("09", 10), ("", 7), ("", 99), ("", 100), ("", 101), ("", 1000)):
        with subtests.test(f"prefix {start!r}, limit {limit}"):
            expected = [name for name in names if name.startswith(key(start))]
            assert sorted(await all_keys(store, key(start), limit)) == expected


async def test_only_keys_with_the_prefix_are_listed(store: Store, key: Keys, subtests: pytest.Subtests) -> None:
    names = [
        "a",
        "ab",
        "ab1",
        "ab2",
        "aB",
        "abc",
        "ac",
        "b",
        "a%",
        "a_",
        "a*",
        "a?",
        "a[b]",
        "a\\b",
        "ab\uffff",
        "ab😀",
    ]
    await write_all(store, sets([key(name) for name in names]))
    for start in ("a", "ab", "abc", "abcd", "aB", "b", "", "a%", "a_", "a*", "a?", "a[", "a\\", "[", "%", "_", "*"):
        with subtests.test(f"prefix {start!r}"):
            expected = sorted(key(name) for name in names if name.startswith(start))
            assert sorted(await all_keys(store, key(start), 3)) == expected


async def test_deleted_keys_are_not_listed(store: Store, key: Keys, prefix: str) -> None:
    names = [key(str(number)) for number in range(20)]
    await write_all(store, sets(names))
    assert len(await all_keys(store, prefix)) == 20
    await write_all(store, deletes(names[:15]))
    assert sorted(await all_keys(store, prefix)) == sorted(names[15:])
    await written(store, names[0])
    assert sorted(await all_keys(store, prefix)) == sorted([names[0], *names[15:]])


async def test_deleting_what_was_listed_loses_none_of_the_rest(store: Store, key: Keys, prefix: str) -> None:
    names = [key(f"{number:03}") for number in range(60)]
    await write_all(store, sets(names))
    met: list[str] = []
    cursor = None
    while True:
        page = await store.keys(prefix, 7, cursor)
        met += page.keys
        await write_all(store, deletes(list(page.keys)))
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(met) == names
    assert await all_keys(store, prefix) == []


async def test_keys_that_stay_are_listed_while_others_come_and_go(store: Store, key: Keys, prefix: str) -> None:
    stay = {key(f"{number:03} stays") for number in range(40)}
    await write_all(store, sets([*stay, *(key(f"{number:03} goes") for number in range(40))]))
    met: list[str] = []
    cursor = None
    for number in range(1000):
        page = await store.keys(prefix, 5, cursor)
        met += page.keys
        await store.delete(Delete(key(f"{39 - number:03} goes")))
        await written(store, key(f"{number % 40:03} comes"))
        cursor = page.cursor
        if cursor is None:
            break
    assert cursor is None
    assert stay <= set(met)
    assert len([name for name in met if name in stay]) == len(stay)


async def test_a_foreign_cursor_is_refused(store: Store, key: Keys, prefix: str, subtests: pytest.Subtests) -> None:
    await write_all(store, sets([key("a"), key("b")]))
    for cursor in ("x", "ü", "!!!", "AAAA", "9" * 400, "\x00", "eyJhIjoxfQ=="):
        with subtests.test(cursor[:10]):
            assert isinstance(await error_of(store.keys(prefix, 1, cursor)), InvalidCursorError)
