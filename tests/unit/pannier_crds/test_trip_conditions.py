"""The condition that opens a circuit breaker: a subset of CEL, and refusals that name the place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.tables import each_row

from pannier_crds.problems import InvalidValueError
from pannier_crds.trip_condition import COUNTS, MAX_CHARS, read_condition

COUNTED = dict(zip(COUNTS, (10, 4, 6, 0, 3), strict=True))


@each_row(
    ("text", "expected"),
    [
        ("consecutiveFailures > 2", True),
        ("consecutiveFailures >= 4 || totalFailures == 6", True),
        ("consecutiveFailures > 2 && requests < 10", False),
        ("requests > 5 && totalFailures * 100 / requests >= 60", True),
        ("double(totalFailures) / double(requests) > 0.55", True),
        ("totalFailures / requests > 0.5", False),  # whole numbers: 6 / 10 is 0
        ("!(totalSuccesses != 4)", True),
        ("totalFailures - totalSuccesses * 2 == -2", True),
        ("-7 / 2 == -3 && -7 % 2 == -1", True),
        ("1 < 2 == true", True),
        ("2 + 3 * 4 == 14 && (2 + 3) * 4 == 20", True),
        ("int(2.9) == 2", True),
        ("true", True),
        # A side that decides hides the other side's error; otherwise an error means that the breaker does not open.
        ("1 / 0 == 1", False),
        ("1 / 0 == 1 || requests == 10", True),
        ("!(1 / 0 == 1 && false)", True),
        ("9223372036854775807 + requests > 0", False),
        ("0.0 / 0.0 == 0.0", False),
        ("1.0 / 0.0 > 1.0", True),
    ],
)
def test_conditions_hold_as_in_cel(text: str, expected: bool) -> None:
    assert read_condition(text)(COUNTED) is expected


@each_row(
    ("text", "place", "advice"),
    [
        ("consecutiveFailure > 5", "character 1: there is no 'consecutiveFailure'", "write 'consecutiveFailures'"),
        ("requests > 5 and true", "character 14: 'and' comes after the end", "join them by && or ||"),
        ("requests > ", "character 11: the end is no value", "write a number, 'requests'"),
        ("(requests > 1", "character 14: the '(' of character 1 is not closed", "write ')' here"),
        ("requests", "character 1: the expression is a whole number", "compare it"),
        ("requests && true", "character 1: this side of && is a whole number", "compare it with a number"),
        ("totalFailures * 1.5 > 3", "character 1: * takes two numbers of one kind", "write double(...)"),
        ("requests > 1 ? true : false", "character 14: '?' is not supported", "write counts"),
        ("size('a') > 1", "character 6: ''' is not supported", "write counts"),
        ("requests = 1", "character 10: '=' is not supported", "write counts"),
        ("!requests", "character 1: ! is before a whole number", "compare it"),
        ("1 < 2 < 3", "character 1: < compares true or false with a whole number", "join comparisons"),
        ("99999999999999999999 > requests", "character 1: '99999999999999999999' is too large", "write a number"),
        ("(" * 40 + "true" + ")" * 40, "character 32: the expression is nested too deeply", "write fewer"),
        ("!" * 300 + "true", "character 201: the expression is too long", "write 200"),
        ("1" * (MAX_CHARS + 1), "has 1001 characters", "write 1000 at most"),
    ],
)
def test_anything_else_is_refused_with_its_place(text: str, place: str, advice: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        read_condition(text)
    assert refused.value.message.startswith(place)
    assert refused.value.advice.startswith(advice)


PARTS = (
    "requests",
    "totalFailures",
    "1",
    "2.5",
    "(",
    ")",
    "&&",
    "||",
    "!",
    "-",
    "/",
    "%",
    ">",
    "==",
    "double(",
    "é",
    " ",
)


@given(st.lists(st.sampled_from(PARTS), max_size=60).map(" ".join), st.integers(0, 2**31))
def test_no_text_makes_it_fail_otherwise(text: str, count: int) -> None:
    try:
        condition = read_condition(text)
    except InvalidValueError:
        return
    assert condition(dict.fromkeys(COUNTS, count)) in (True, False)
