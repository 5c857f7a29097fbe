"""Durations are Go's, and booleans are Dapr's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.tables import each_row

from pannier_crds.values import format_duration, is_truthy, parse_boolean, parse_duration


@each_row(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("5s", 5.0),
        ("500ms", 0.5),
        ("1h2m3.5s", 3723.5),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("-1m", -60.0),
        ("+1m", 60.0),
        ("250us", 0.00025),
        ("250\u00b5s", 0.00025),
        ("250\u03bcs", 0.00025),
        ("1ns", 1e-9),
        (" 2s ", 2.0),
        ("2562047h47m16.854775807s", 9223372036.854775807),
    ],
)
def test_go_durations_are_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@each_row(
    "text",
    ["", "5", "s", "5 s", "5S", "1d", "1h-2m", "1e3s", "\u0665s", "--1s", "2562048h", "9" * 5000 + "s", "1s\n2s", "."],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration|longer"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "unit", "seconds"),
    [("500", "ms", 0.5), ("20", "s", 20.0), ("1000000", "ns", 0.001), ("-1", "ms", -0.001), ("3s", "ms", 3.0)],
)
def test_a_bare_integer_counts_the_unit_of_its_field(text: str, unit: str, seconds: float) -> None:
    assert parse_duration(text, unit) == seconds


@pytest.mark.parametrize("text", ["1.5", "9" * 19, ""])
def test_a_bare_text_that_is_no_integer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration|longer"):
        parse_duration(text, "ms")


@pytest.mark.parametrize(
    ("seconds", "text"), [(5.0, "5s"), (90.0, "90s"), (120.0, "2m"), (7200.0, "2h"), (0.25, "250ms"), (0.0, "0s")]
)
def test_durations_are_written_in_their_largest_whole_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(min_value=-(2**62), max_value=2**62))
def test_a_written_duration_is_read_back_as_the_same_number(nanoseconds: int) -> None:
    seconds = nanoseconds / 1_000_000_000
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.text())
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        assert isinstance(parse_duration(text, "s"), float)
    except ValueError:
        pass


@pytest.mark.parametrize("text", ["y", "YES", "True", "t", "on", "1", " true\n"])
def test_truthy_words_are_true(text: str) -> None:
    assert is_truthy(text)
    assert parse_boolean(text) is True


@pytest.mark.parametrize("text", ["n", "NO", "False", "f", "off", "0"])
def test_falsy_words_are_false(text: str) -> None:
    assert not is_truthy(text)
    assert parse_boolean(text) is False


@pytest.mark.parametrize("text", ["", "maybe", "2", "truee"])
def test_other_words_are_neither(text: str) -> None:
    assert not is_truthy(text)
    assert parse_boolean(text) is None


def test_nothing_is_not_truthy() -> None:
    assert not is_truthy(None)
