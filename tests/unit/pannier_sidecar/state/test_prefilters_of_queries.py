"""What a value must contain to match a query: whatever matches contains it, in any spelling."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import assume, example, given
from servers.json_values import filters, stored
from unit.tables import each_row

from pannier_sidecar.state.prefilter import MAX_BYTES, MAX_GROUPS, MAX_TEXTS, Group, needed_by
from pannier_sidecar.state.queries import Filter, parse


def has(value: bytes, group: Group) -> bool:
    return any(text in value for text in group.all_texts)


def read(query: dict[str, Any]) -> Filter:
    found = parse(json.dumps({"filter": query}).encode(), "s").filter
    assert found is not None
    return found


@given(query=filters, value=stored)
@example({"EQ": {"a": 12}}, b'{"a":11.99999999999999999999}')
@example({"EQ": {"a": 12}}, b'{"\\u0061":1.2e1}')
@example({"EQ": {"a": 1e20}}, b'{"a":100000000000000000000}')
@example({"IN": {"a": ["s/t", None]}}, b'{"a":"s\\/t"}')
@example({"EQ": {"a": {"b": [True]}}}, b'{"a":{"b":[true]}}')
@example({"OR": [{"EQ": {"a": "A"}}, {"NEQ": {"a": "A"}}]}, b"1")
def test_what_matches_contains_what_is_needed(query: dict[str, Any], value: bytes) -> None:
    wanted = read(query)
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        assume(False)
    if wanted.matches(found):
        assert all(has(value, group) for group in needed_by(wanted))


@each_row(
    ["query", "found", "left_out"],
    {
        "a text": ({"EQ": {"a": "CA"}}, b'{"a":"CA"}', b'{"a":"WA"}'),
        "a text beyond ASCII": ({"EQ": {"a": "für"}}, '{"a":"für"}'.encode(), b'{"a":"fur"}'),
        "one of some": ({"IN": {"a": ["CA", "WA"]}}, b'{"a":"WA"}', b'{"a":"TX"}'),
        "a number": ({"EQ": {"a": 17}}, b'{"a":17}', b'{"a":18}'),
        "a word": ({"EQ": {"a": None}}, b'{"a":null}', b'{"a":false}'),
        "a field": ({"GT": {"a.b": 1}}, b'{"a":{"b":2}}', b'{"a":{"c":2}}'),
        "both": ({"AND": [{"EQ": {"a": "A"}}, {"EQ": {"b": "B"}}]}, b'{"a":"A","b":"B"}', b'{"a":"A","b":"C"}'),
        "either": ({"OR": [{"EQ": {"a": "A"}}, {"EQ": {"b": "B"}}]}, b'{"b":"B"}', b'{"a":"C","b":"D"}'),
        "a list": ({"EQ": {"a": ["A", {"b": "B"}]}}, b'{"a":["A",{"b":"B"}]}', b'{"a":["A",{"b":"C"}]}'),
    },
)
def test_what_cannot_match_is_left_out(query, found, left_out):
    needed = needed_by(read(query))
    assert all(has(found, group) for group in needed)
    assert not all(has(left_out, group) for group in needed)


@each_row(
    "query",
    [{"NEQ": {"a": "A"}}, {"OR": [{"EQ": {"a": "A"}}, {"NEQ": {"b": "B"}}]}],
)
def test_nothing_is_needed_where_an_absent_field_matches(query):
    assert needed_by(read(query)) == []


def test_what_is_searched_for_is_bounded() -> None:
    many = {"IN": {"a": [f"text {number}" for number in range(200)]}}
    large = {"EQ": {"b": "x" * 100_000}}
    needed = needed_by(read({"AND": [many, large, *({"EQ": {"c": str(number)}} for number in range(50))]}))
    assert len(needed) == MAX_GROUPS
    assert all(len(group.texts) <= MAX_TEXTS and sum(map(len, group.texts)) <= MAX_BYTES for group in needed)
    assert needed_by(None) == []
    assert needed_by(read({"EQ": {"a": "nul\0"}})) != []
    assert not any(b"\0" in text for group in needed_by(read({"EQ": {"a": "nul\0"}})) for text in group.texts)
