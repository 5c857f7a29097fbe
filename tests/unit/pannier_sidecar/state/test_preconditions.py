"""Whether a precondition holds follows from the table of `writing_rule`, and each mismatch says what was found."""

import pytest
from unit.tables import each_row

from pannier_sidecar.state.preconditions import mismatch
from pannier_sidecar.state.requests import Delete, Set, Write

PREFIX = "possible etag mismatch. error from state store: key k "


@each_row(
    ("write", "etag"),
    [
        (Set("k", b""), None),
        (Set("k", b""), "1"),
        (Set("k", b"", if_match="1"), "1"),
        (Set("k", b"", if_absent=True), None),
        (Delete("k"), None),
        (Delete("k"), "1"),
        (Delete("k", if_match="1"), "1"),
        (Delete("k", if_absent=True), None),
    ],
)
def test_it_holds(write: Write, etag: str | None) -> None:
    assert mismatch(write, etag) is None


@pytest.mark.parametrize(
    ("write", "etag", "reason"),
    [
        (Set("k", b"", if_absent=True), "1", "exists already, and first-write without an ETag only creates"),
        (Delete("k", if_absent=True), "", "exists already, and first-write without an ETag only creates"),
        (Set("k", b"", if_match="1"), None, "does not exist, so it has no ETag 1"),
        (Delete("k", if_match=""), None, "does not exist, so it has no ETag "),
        (Set("k", b"", if_match="1"), "2", "has ETag 2, not 1; read it again"),
        (Delete("k", if_match="1"), "", "has ETag , not 1; read it again"),
    ],
)
def test_it_does_not_hold(write: Write, etag: str | None, reason: str) -> None:
    assert str(mismatch(write, etag)) == PREFIX + reason
