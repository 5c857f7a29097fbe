"""Which queries are refused, and what the operators and the order mean for odd values."""

import json

import pytest
from unit.tables import each_row

from pannier_sidecar.state.errors import MalformedQueryError
from pannier_sidecar.state.queries import MAX_CONDITIONS, MAX_DEPTH, parse

ONE = {"EQ": {"a": 1}}


def nested(depth: int) -> object:
    return ONE if depth == 0 else {"AND": [ONE, nested(depth - 1)]}


@each_row(
    ("query", "why"),
    [
        ([], r"\$ has to be an object"),
        ({"filters": {}}, r"\$.filters is unknown; known fields: filter, sort, page"),
        ({"filter": []}, None),
        ({"filter": [1]}, r"\$.filter has to be an object with one operator"),
        ({"filter": {**ONE, "NEQ": {"b": 1}}}, "object with one operator"),
        ({"filter": {"eq": {"a": 1}}}, r"\$.filter.eq is no operator; write one of EQ, .*, in capitals"),
        ({"filter": {"EQ": {"a": 1, "b": 2}}}, r"\$.filter.EQ has to be an object with one field"),
        ({"filter": {"EQ": 1}}, "object with one field"),
        ({"filter": {"EQ": {"a..b": 1}}}, "has the path 'a..b'"),
        ({"filter": {"IN": {"a": 1}}}, "has to have an array"),
        ({"filter": {"GT": {"a": True}}}, "compares with a number or a text only"),
        ({"filter": {"LT": {"a": None}}}, "compares with a number or a text only"),
        ({"filter": {"AND": [ONE]}}, "array of two filters or more"),
        ({"filter": {"OR": ONE}}, "array of two filters or more"),
        ({"filter": {"OR": [ONE, {"X": 1}]}}, r"\$.filter.OR\[1\].X is no operator"),
        ({"filter": {"OR": [ONE] * MAX_CONDITIONS}}, None),
        ({"filter": {"OR": [ONE] * (MAX_CONDITIONS + 1)}}, "over 100 conditions"),
        ({"filter": nested(MAX_DEPTH - 1)}, None),
        ({"filter": nested(MAX_DEPTH)}, "nested over 16 deep"),
        ({"filter": {"EQ": {"a": json.loads("[" * 15 + "]" * 15)}}}, None),
        ({"filter": {"EQ": {"a": json.loads("[" * 200 + "]" * 200)}}}, "value nested over 16 deep"),
        ({"sort": [{"key": "a"}] * 9}, "at most 8 keys"),
        ({"sort": {"key": "a"}}, r"\$.sort has to be an array"),
        ({"sort": [{"order": "ASC"}]}, r"\$.sort\[0\].key has to be a text"),
        ({"sort": [{"key": "a", "order": "desc"}]}, r"\$.sort\[0\].order is 'desc'; write ASC or DESC"),
        ({"page": {"limit": -1}}, r"\$.page.limit is '-1'"),
        ({"page": {"limit": True}}, r"\$.page.limit is 'True'"),
        ({"page": {"limit": 1.5}}, r"\$.page.limit is '1.5'"),
        ({"page": {"token": "x"}}, r"\$.page.token is 'x'"),
        ({"page": {"token": "9" * 5000}}, "page.token is '9"),
        ({"filter": None, "sort": None, "page": None}, None),
    ],
)
def test_a_query_that_cannot_be_read_names_the_place(query: object, why: str | None) -> None:
    if why is None:
        parse(json.dumps(query).encode(), "s")
        return
    with pytest.raises(
        MalformedQueryError, match="state store s query failed: failed to parse JSON query body: "
    ) as at:
        parse(json.dumps(query).encode(), "s")
    at.match(why)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_no_query(body: bytes) -> None:
    with pytest.raises(MalformedQueryError, match="the body is no JSON"):
        parse(body, "s")


@each_row(
    ("condition", "value", "matches"),
    [
        ({"EQ": {"a": 1}}, {"a": 1.0}, True),
        ({"EQ": {"a": 1}}, {"a": True}, False),
        ({"EQ": {"a": True}}, {"a": True}, True),
        ({"EQ": {"a": [1]}}, {"a": [True]}, False),
        ({"EQ": {"a": {"b": [1]}}}, {"a": {"b": [1.0]}}, True),
        ({"EQ": {"a": None}}, {"a": None}, True),
        ({"EQ": {"a": None}}, {}, False),
        ({"EQ": {"a.b": 1}}, {"a": [{"b": 1}]}, False),
        ({"EQ": {"a": 1}}, [1], False),
        ({"NEQ": {"a": 1}}, {}, True),
        ({"NEQ": {"a": 1}}, "text", True),
        ({"GT": {"a": 1}}, {"a": "2"}, False),
        ({"GT": {"a": "1"}}, {"a": "2"}, True),
        ({"GTE": {"a": 0}}, {"a": False}, False),
        ({"LT": {"a": 1}}, {}, False),
        ({"LTE": {"a": 2**60}}, {"a": 2**60 + 1}, False),
        ({"IN": {"a": []}}, {"a": 1}, False),
        ({"IN": {"a": [None, 1]}}, {"a": None}, True),
    ],
)
def test_a_condition_compares_values_of_one_kind(condition: object, value: object, matches: bool) -> None:
    query = parse(json.dumps({"filter": condition}).encode(), "s")
    assert query.matches(value) is matches


def test_kinds_of_values_are_apart_in_the_order() -> None:
    query = parse(b'{"sort": [{"key": "a"}]}', "s")
    values = [False, True, -1, 1.5, 2, "", "a", "b" * 300]
    ranks = [query.ranks({"a": value})[0] for value in values]
    assert ranks == sorted(ranks)
    assert query.ranks({"a": None}) == query.ranks({"a": [1]}) == query.ranks({"a": {}})
    assert query.ranks({})[0].is_absent
    assert query.ranks({"a": "b" * 300}) == query.ranks({"a": "b" * 256})
