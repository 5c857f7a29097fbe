"""A request's ETag and concurrency become the one precondition that stores get."""

import pytest
from unit.tables import each_row

from pannier_sidecar.state.requests import Concurrency, Delete, Set, writing_rule

FIRST, LAST = Concurrency.FIRST_WRITE, Concurrency.LAST_WRITE


@each_row(
    ("etag", "concurrency", "precondition"),
    [
        (None, None, (None, False)),
        (None, LAST, (None, False)),
        (None, FIRST, (None, True)),
        ("", None, (None, False)),
        ("", LAST, (None, False)),
        ("", FIRST, (None, True)),
        ("7", None, ("7", False)),
        ("7", FIRST, ("7", False)),
        ("7", LAST, (None, False)),
        ("0", None, ("0", False)),
    ],
)
def test_each_cell(etag: str | None, concurrency: Concurrency | None, precondition: tuple[str | None, bool]) -> None:
    assert writing_rule(etag, concurrency) == precondition


@pytest.mark.parametrize("kind", [lambda **rule: Set("k", b"1", **rule), lambda **rule: Delete("k", **rule)])
def test_a_write_knows_whether_it_has_a_precondition(kind) -> None:  # type: ignore[no-untyped-def]
    assert not kind().is_conditional
    assert kind(if_absent=True).is_conditional
    assert kind(if_match="7").is_conditional
