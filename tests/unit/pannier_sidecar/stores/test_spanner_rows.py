"""Rows of Spanner's table: their order, their times, their ETags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pannier_sidecar.stores.gcp_spanner.layout import end_of, etag_of, stored_value

texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts, texts)
def test_keys_with_a_prefix_are_before_its_end(prefix: str, rest: str) -> None:
    end = end_of(prefix)
    assert end is None or (prefix + rest).encode() < end.encode()


@given(texts, texts)
def test_keys_between_a_prefix_and_its_end_begin_with_it(prefix: str, key: str) -> None:
    end = end_of(prefix)
    lies_between = prefix.encode() <= key.encode() and (end is None or key.encode() < end.encode())
    assert lies_between == key.startswith(prefix)


@pytest.mark.parametrize(("prefix", "end"), [("", None), ("a||", "a|}"), ("\U0010ffff", None), ("\ud7ff", "\ue000")])
def test_the_end_of_a_prefix(prefix: str, end: str | None) -> None:
    assert end_of(prefix) == end


@pytest.mark.parametrize(
    ("time", "etag"),
    [
        ("2026-11-25T20:00:00.123456Z", "1795636800123456"),
        ("2026-11-25T20:00:00.5Z", "1795636800500000"),
        ("2026-11-25T20:00:00Z", "1795636800000000"),
        ("2026-11-25T20:00:00.123456000Z", "1795636800123456"),
    ],
)
def test_an_etag_is_the_time_of_the_commit_in_microseconds(time: str, etag: str) -> None:
    assert etag_of(time) == etag


def test_an_expired_row_has_no_value() -> None:
    row: list[str | None] = ["k", "MQ==", "2026-11-25T20:00:00Z", "2026-11-25T20:00:10Z"]
    assert stored_value(row, 1_795_636_811.0) is None
    found = stored_value(row, 1_795_636_809.0)
    assert found is not None
    assert (found.value, found.expires_at) == (b"1", 1_795_636_810)
