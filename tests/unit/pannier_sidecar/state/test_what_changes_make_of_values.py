"""What increment, append, get-and-set and touch make of what stands under a key."""

from typing import Any

import pytest
from unit.tables import each_row

from pannier_sidecar.state.changes import (
    MAX_COMMAS,
    MAX_INTEGER,
    MAX_LIST_BYTES,
    MIN_INTEGER,
    UNGIVEN,
    Append,
    Change,
    GetAndSet,
    Increment,
    Standing,
    Touch,
    kind_of,
)
from pannier_sidecar.state.errors.of_changes import (
    ChangeRefusedError,
    ExpiryNotGivenError,
    ListTooLargeError,
    OutOfRangeError,
    WrongKindError,
)
from pannier_sidecar.state.store import StoredValue


def applied(change: Change, value: bytes | None, ttl: int | None = UNGIVEN) -> tuple[Any, bytes | None]:
    """Return the result of a change, and the value that it leaves."""
    standing = Standing.of(None if value is None else StoredValue(value, "1"), keeps_expiry=True)
    result, _ = change.apply(standing, ttl)
    return result, standing.current()


@each_row(
    ("change", "value", "result", "left"),
    {
        "an absent number": (Increment("k"), None, 1, b"1"),
        "an absent number with a beginning": (Increment("k", 5, initial=10), None, 15, b"15"),
        "a number": (Increment("k", 2), b"40", 42, b"42"),
        "a number in spaces": (Increment("k", 2), b" 40\n", 42, b"42"),
        "a negative number": (Increment("k", -2), b"-1", -3, b"-3"),
        "beyond the integers of a float": (Increment("k"), b"9007199254740992", 2**53 + 1, b"9007199254740993"),
        "up to 64 bits": (Increment("k"), b"%d" % (MAX_INTEGER - 1), MAX_INTEGER, b"%d" % MAX_INTEGER),
        "down to 64 bits": (Increment("k", -1), b"%d" % (MIN_INTEGER + 1), MIN_INTEGER, b"%d" % MIN_INTEGER),
        "up to the ceiling": (Increment("k", ceiling=5), b"4", 5, b"5"),
        "down to the floor": (Increment("k", -1, floor=0), b"1", 0, b"0"),
        "up from below the floor": (Increment("k", floor=10), b"1", 2, b"2"),
        "an absent list": (Append("k", [b"1", b"2"]), None, 2, b"[1,2]"),
        "an empty list": (Append("k", [b"1"]), b" [ ] ", 1, b"[1]"),
        "elements stay as they were written": (
            Append("k", [b'{"b": 2}']),
            b'[1.0, {"a" :1}]',
            3,
            b'[1.0,{"a" :1},{"b": 2}]',
        ),
        "a length": (Append("k", [b"3"], 2), b"[1,2]", 2, b"[2,3]"),
        "more elements than the length": (Append("k", [b"1", b"2", b"3"], 2), None, 2, b"[2,3]"),
        "a value": (GetAndSet("k", b"2"), b"1", b"1", b"2"),
        "no value": (GetAndSet("k", b"2"), None, None, b"2"),
        "a touch": (Touch("k"), b"not JSON", True, b"not JSON"),
        "a touch of nothing": (Touch("k"), None, False, None),
    },
)
def test_a_change_has_a_result(change: Change, value: bytes | None, result: Any, left: bytes | None) -> None:
    assert applied(change, value) == (result, left)


@each_row(
    ("change", "value", "error", "words"),
    {
        "above the ceiling": (Increment("k", ceiling=5), b"5", OutOfRangeError, "above the ceiling 5"),
        "below the floor": (Increment("k", -2, floor=0), b"1", OutOfRangeError, "below the floor 0"),
        "above 64 bits": (Increment("k"), b"%d" % MAX_INTEGER, OutOfRangeError, "above the ceiling"),
        "below 64 bits": (Increment("k", -1), b"%d" % MIN_INTEGER, OutOfRangeError, "below the floor"),
        "a fraction": (Increment("k"), b"1.5", WrongKindError, "a number with a fraction or an exponent"),
        "a text": (Increment("k"), b'"41"', WrongKindError, "a text"),
        "leading zeros": (Increment("k"), b"041", WrongKindError, "not JSON"),
        "no JSON": (Increment("k"), b"secret", WrongKindError, "not JSON"),
        "nothing at all": (Increment("k"), b"", WrongKindError, "not JSON"),
        "too large a number": (Increment("k"), b"9" * 19, WrongKindError, "beyond 64 bits"),
        "very many digits": (Increment("k"), b"9" * 9000, WrongKindError, "beyond 64 bits"),
        "a number is no list": (Append("k", [b"1"]), b"41", WrongKindError, "a whole number, not a list"),
        "a cut list": (Append("k", [b"1"]), b"[1,2", WrongKindError, "not JSON"),
        "a list of too many": (Append("k", [b"1"]), b"[%b0]" % (b"0," * (MAX_COMMAS + 1)), ListTooLargeError, "commas"),
        "a list too long": (Append("k", [b"1"]), b'["%b"]' % (b"x" * MAX_LIST_BYTES), ListTooLargeError, "bytes"),
        "a list that would be too long": (
            Append("k", [b'"%b"' % (b"x" * MAX_LIST_BYTES)]),
            b"[]",
            ListTooLargeError,
            "would have over",
        ),
    },
)
def test_a_change_that_cannot_be_made_changes_nothing(
    change: Change, value: bytes, error: type[ChangeRefusedError], words: str
) -> None:
    standing = Standing.of(StoredValue(value, "1"), keeps_expiry=True)
    with pytest.raises(error, match="key k") as refused:
        change.apply(standing, UNGIVEN)
    assert words in str(refused.value)
    assert "secret" not in str(refused.value)
    assert standing == Standing(value, keeps_expiry=True)


@each_row(
    ("value", "kind"),
    [
        (b'{"a":1}', "an object"),
        (b"[1]", "a list"),
        (b'"a"', "a text"),
        (b"true", "a boolean"),
        (b"false", "a boolean"),
        (b"null", "null"),
        (b"-1", "a whole number"),
        (b"1e3", "a number with a fraction or an exponent"),
        (b"\xff", "not JSON"),
        (b'"\xff"', "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_a_kind_is_named_without_the_value(value: bytes, kind: str) -> None:
    assert kind_of(value) == kind


@each_row(
    ("change", "expires_at", "ttl", "written", "kept"),
    {
        "never, and not given": (Increment("k"), None, UNGIVEN, None, None),
        "given": (Increment("k"), None, 60, 60, None),
        "given instead": (Increment("k"), 2_000_000_000, 60, 60, None),
        "kept by a number": (Increment("k"), 2_000_000_000, UNGIVEN, None, 2_000_000_000),
        "kept by a list": (Append("k", [b"1"]), 2_000_000_000, UNGIVEN, None, 2_000_000_000),
        "never from now on": (Append("k", [b"1"]), 2_000_000_000, None, None, None),
        "replaced": (GetAndSet("k", b"1"), 2_000_000_000, UNGIVEN, None, None),
        "touched": (Touch("k"), 2_000_000_000, 60, 60, None),
    },
)
def test_a_change_says_when_the_value_expires(
    change: Change, expires_at: int | None, ttl: int | None, written: int | None, kept: int | None
) -> None:
    value = b"[]" if isinstance(change, Append) else b"1"
    standing = Standing.of(StoredValue(value, "1", expires_at), keeps_expiry=True)
    change.apply(standing, ttl)
    assert (standing.ttl, standing.expires_at) == (written, kept)


@each_row("change", [Increment("k"), Append("k", [b"1"])])
def test_a_value_that_expires_needs_a_ttl_where_the_store_cannot_keep_its_expiry(change: Change) -> None:
    found = StoredValue(b"[]" if isinstance(change, Append) else b"1", "1", 2_000_000_000)
    standing = Standing.of(found, keeps_expiry=False)
    with pytest.raises(ExpiryNotGivenError, match="ttlInSeconds"):
        change.apply(standing, UNGIVEN)
    change.apply(standing, 60)
    change.apply(standing, UNGIVEN)
    assert standing.ttl == 60


def test_changes_follow_one_another() -> None:
    standing = Standing.of(None, keeps_expiry=True)
    assert Append("k", [b"1"]).apply(standing, UNGIVEN) == (1, True)
    assert Append("k", [b"2"]).apply(standing, 60) == (2, True)
    assert Touch("k").apply(standing, 30) == (True, True)
    with pytest.raises(WrongKindError, match="a list"):
        Increment("k").apply(standing, 60)
    assert GetAndSet("k", b"7").apply(standing, UNGIVEN) == (b"[1,2]", True)
    assert Increment("k").apply(standing, UNGIVEN) == (8, True)
    assert standing.current() == b"8"
