"""A store that searches values leaves out only what does not contain what is needed, in any spelling of any value."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest
from conformance.calls import all_candidates, all_keys, expiring, sets, write_all
from conformance.conftest import Keys
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers.database import Database
from servers.json_values import filters, stored

from pannier_sidecar.state.errors import InvalidCursorError
from pannier_sidecar.state.prefilter import Group, Needed, needed_by
from pannier_sidecar.state.queries import Query, parse
from pannier_sidecar.state.requests import Set
from pannier_sidecar.state.store import Feature, Store

pytestmark = pytest.mark.topic("listing keys", Feature.KEYS_LIKE)

LIMITS = (1, 3, 100)
SEARCHED = ("state.sqlite", "state.postgresql", "state.mysql", "state.mongodb")
"""Types of stores whose databases search values."""


def may_match(value: bytes, needed: Needed) -> bool:
    return all(any(text in value for text in group.all_texts) for group in needed)


def read(query: dict[str, Any]) -> Query:
    return parse(json.dumps({"filter": query}).encode(), "s")


def test_no_value_is_left_out_that_may_match(
    subject: Database, make_store: Callable[[], Store], prefix: str, subtests: pytest.Subtests
) -> None:
    numbers = count()
    with asyncio.Runner() as runner:
        store = make_store()
        runner.run(store.open())

        async def check(values: Sequence[bytes], queries: Sequence[dict[str, Any]]) -> None:
            here = f"{prefix}{next(numbers)}-"
            keys = [f"{here}{place:02}" for place in range(len(values))]
            await write_all(store, [Set(key, value) for key, value in zip(keys, values, strict=True)])
            for query in queries:
                needed = needed_by(read(query).filter)
                wanted = {key for key, value in zip(keys, values, strict=True) if may_match(value, needed)}
                for limit in LIMITS:
                    found = await all_candidates(store, here, limit, needed)
                    assert wanted <= set(found) <= set(keys)
                    assert len(found) == len(set(found))

        @settings(max_examples=subject.model_runs, suppress_health_check=list(HealthCheck), deadline=None)
        @given(st.lists(stored, min_size=1, max_size=12), st.lists(filters, min_size=1, max_size=4))
        def run(values: list[bytes], queries: list[dict[str, Any]]) -> None:
            runner.run(check(values, queries))

        try:
            run()
        finally:
            runner.run(store.close())


TEXTS = tuple(b"% _ \\ ' \" \\% a_b 100% .* ( | ] $ -- A".split(b" ")) + ("💜".encode(),)
"""What databases' own patterns and literals have to escape."""


async def test_texts_are_taken_as_they_are(
    store: Store, key: Keys, prefix: str, subject: Database, subtests: pytest.Subtests
) -> None:
    values = {key(f"{place:02}"): b'"%b"' % text for place, text in enumerate(TEXTS)}
    values[key("none")] = b'"ab 100x a.b a"'
    await write_all(store, [Set(name, value) for name, value in values.items()])
    searches = subject.store_type in SEARCHED and not subject.is_encrypted
    for text in TEXTS:
        quoted = b'"%b"' % text
        with subtests.test(repr(text)):
            found = set(await all_candidates(store, prefix, 7, [Group((quoted,))]))
            wanted = {name for name, value in values.items() if quoted in value}
            assert found == (wanted if searches else values.keys())
            assert set(await all_candidates(store, prefix, 7, [Group((quoted, b"none")), Group((b'"',))])) >= wanted


async def test_only_keys_with_the_prefix_that_have_not_expired_are_searched(
    store: Store, key: Keys, subject: Database
) -> None:
    names = [key(name) for name in ("a%1", "a%2", "a_1", "ab1", "b", "a%" + "\U0010ffff")]
    await write_all(store, sets(names, b'"x"'))
    found = await all_candidates(store, key("a%"), 2, [Group((b'"x"',))])
    assert sorted(found) == sorted([names[0], names[1], names[5]])
    if Feature.TTL in subject.claims:
        await expiring(store, key("a%0"), b'"x"')

        async with asyncio.timeout(30):
            while key("a%0") in await all_candidates(store, key("a%"), 2, [Group((b'"x"',))]):
                await asyncio.sleep(0.1)


async def test_pages_of_candidates_go_on_after_any_cursor_of_a_list(store: Store, key: Keys, prefix: str) -> None:
    names = [key(f"{number:02}") for number in range(30)]
    await write_all(store, [Set(name, b'"%d"' % (place % 3)) for place, name in enumerate(names)])
    page = await store.keys(prefix, 10, None)
    found = await all_candidates(store, prefix, 4, [Group((b'"1"',))], page.cursor)
    rest = sorted(set(await all_keys(store, prefix)) - set(page.keys))
    assert {name for name in rest if names.index(name) % 3 == 1} <= set(found) <= set(rest)
    with pytest.raises(InvalidCursorError):
        await store.candidates(prefix, 4, "?", [Group((b"1",))])
