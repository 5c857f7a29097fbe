"""Items written as lines of JSON come back byte for byte, and other lines are refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.tables import each_row

from pannier_sidecar.moving.items import AppKey, Item
from pannier_sidecar.moving.json_lines import InvalidLineError, item_of, line_of
from pannier_sidecar.state.store import LAST_TIME

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda part: "||" not in part)
keys = st.builds(AppKey, text) | st.builds(AppKey, text, text, text)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
values = st.binary() | json_values.map(lambda value: json.dumps(value, indent=1).encode()) | st.text().map(str.encode)


def key_with(value: bytes) -> dict[str, object]:
    """The line of a value, as any program reads it."""
    line: dict[str, object] = json.loads(line_of(Item(AppKey("k"), value)))
    return line


@given(st.builds(Item, keys, values, st.none() | st.integers(0, LAST_TIME)))
def test_any_item_comes_back_from_one_line(item: Item) -> None:
    line = line_of(item)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert item_of(line) == item


@pytest.mark.parametrize(
    "value", [b'{"a" :1,  "a":2}', b"123456789012345678901234567890", b"1.0", b"null", b'"\\u00e9"']
)
def test_json_stands_in_the_line_byte_for_byte(value: bytes) -> None:
    assert b'"value":' + value + b"}" in line_of(Item(AppKey("k"), value))


@pytest.mark.parametrize("value", [b"Tatooine", b"", b" 1", b"{\n}", b"\xff", b"[" * 5000 + b"]" * 5000, b"NaN"])
def test_a_value_that_would_change_in_json_is_base64(value: bytes) -> None:
    assert set(key_with(value)) <= {"key", "base64", "value"}
    assert item_of(line_of(Item(AppKey("k"), value))).value == value


def test_a_value_that_is_no_json_is_base64() -> None:
    assert key_with(b"Tatooine") == {"key": "k", "base64": "VGF0b29pbmU="}


def test_an_actors_key_and_an_expiry_have_separate_fields() -> None:
    line = line_of(Item(AppKey("mood", "cat", "tom"), b'"good"', 1_790_000_000))
    assert json.loads(line) == {
        "actorType": "cat",
        "actorId": "tom",
        "key": "mood",
        "value": "good",
        "ttlExpireTime": "2026-09-21T14:13:20Z",
    }


def test_another_programs_spelling_of_a_line_is_read() -> None:
    line = b' { "ttlExpireTime": "2026-09-21T16:13:20+02:00", "value": [1, 2] , "key": "k" } \r\n'
    assert item_of(line) == Item(AppKey("k"), b"[1, 2]", 1_790_000_000)


@each_row(
    ("line", "why"),
    [
        (b"nonsense", "malformed"),
        (b'{"key": "k", "value": 1', "truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"key": 1, "value": 1}', "Expected `str`, got `int`"),
        (b'{"value": 1}', "missing required field `key`"),
        (b'{"key": "k", "valu": 1}', "unknown field `valu`"),
        (b'{"key": "k"}', 'holds either "value" or "base64"; write one of them'),
        (b'{"key": "k", "value": 1, "base64": ""}', 'holds either "value" or "base64"; write one of them'),
        (b'{"key": "k", "base64": "*"}', '"base64" is not base64'),
        (b'{"key": "", "value": 1}', '"key" is empty'),
        (b'{"key": "a||b", "value": 1}', '"key" holds ||; write the app\'s own key'),
        (b'{"key": "k", "actorId": "tom", "value": 1}', '"actorType" is empty'),
        (b'{"key": "k", "value": 1, "ttlExpireTime": "soon"}', "'soon'; write a time like 2026-11-25T20:00:00Z"),
        (b'{"key": "k", "value": 1, "ttlExpireTime": "2026-11-25T20:00:00"}', "write a time like"),
        (b'{"key": "k", "value": "\xff"}', "not UTF-8; write the value as base64"),
        (b'{"key": "k", "value": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_a_broken_line_is_refused_with_the_reason(line: bytes, why: str) -> None:
    with pytest.raises(InvalidLineError) as caught:
        item_of(line)
    assert why in str(caught.value)
