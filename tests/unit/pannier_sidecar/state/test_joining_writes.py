"""Several writes to one key become one."""

import pytest

from pannier_sidecar.state.errors import ETagMismatchError
from pannier_sidecar.state.joining import are_of_one_kind, joined, with_distinct_keys
from pannier_sidecar.state.requests import Delete, Set, Write


def test_writes_to_one_key_become_one_with_all_their_preconditions() -> None:
    writes = joined(
        [Set("a", b"1", if_match="e"), Set("b", b"1"), Delete("a"), Set("a", b"2", strong=True), Delete("b")]
    )
    assert writes == [Set("a", b"2", if_match="e", strong=True), Delete("b")]
    assert joined([Set("a", b"1"), Delete("a", if_absent=True)]) == [Delete("a", if_absent=True)]


@pytest.mark.parametrize(
    "writes",
    [
        [Set("a", b"1", if_match="x"), Set("a", b"1", if_match="y")],
        [Set("a", b"1", if_match="x"), Delete("a", if_absent=True)],
    ],
)
def test_preconditions_that_no_state_fulfils_are_a_mismatch(writes: list[Set | Delete]) -> None:
    with pytest.raises(ETagMismatchError, match="key a "):
        joined(writes)


def test_a_bulk_is_cut_where_a_key_comes_again() -> None:
    writes = [Delete(key) for key in "abacca"]
    assert list(with_distinct_keys(writes)) == [range(0, 2), range(2, 4), range(4, 6)]
    assert list(with_distinct_keys([])) == []


def test_a_bulk_is_cut_where_a_run_is_long_enough() -> None:
    writes = [Delete(key) for key in "abcdabc"]
    assert list(with_distinct_keys(writes, 3)) == [range(0, 3), range(3, 6), range(6, 7)]
    assert list(with_distinct_keys(writes, 1)) == [range(place, place + 1) for place in range(7)]


def test_a_bulk_is_cut_where_a_write_does_not_go_together_with_the_first_one() -> None:
    writes: list[Write] = [
        Set("a", b""),
        Set("b", b""),
        Delete("c"),
        Delete("d", if_match="1"),
        Delete("e"),
        Set("f", b""),
    ]
    found = list(with_distinct_keys(writes, go_together=are_of_one_kind))
    assert found == [range(0, 2), range(2, 3), range(3, 4), range(4, 5), range(5, 6)]


def test_sets_go_together_by_the_kind_of_their_precondition() -> None:
    writes: list[Write] = [
        Set("a", b"", if_match="1"),
        Set("b", b"", if_match="2"),
        Set("c", b"", if_absent=True),
        Set("d", b"", if_absent=True),
        Set("e", b""),
        Delete("f", if_absent=True),
        Delete("g", if_absent=True),
    ]
    found = list(with_distinct_keys(writes, go_together=are_of_one_kind))
    assert found == [range(0, 2), range(2, 4), range(4, 5), range(5, 6), range(6, 7)]
