"""Several writes to one key come to one."""

import pytest

from pannier_sidecar.state.errors import ETagMismatchError
from pannier_sidecar.state.joining import joined, with_distinct_keys
from pannier_sidecar.state.requests import Delete, Set


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
