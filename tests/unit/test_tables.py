"""A table in one test: every row is tried, and each that fails is reported under its own name."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from unit.tables import each_row


class Recorder:
    """Subtests that only note which rows there were, and which failed."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.failed: list[str] = []

    @contextmanager
    def test(self, label: str) -> Iterator[None]:
        self.rows.append(label)
        try:
            yield
        except AssertionError:
            self.failed.append(label)


def below_ten(number: int, limit: int = 10) -> None:
    assert number < limit


def test_a_row_that_fails_stops_no_other() -> None:
    subtests = Recorder()
    each_row("number", [1, 12, 3, 40])(below_ten)(subtests=subtests)
    assert subtests.rows == ["number=1", "number=12", "number=3", "number=40"]
    assert subtests.failed == ["number=12", "number=40"]


async def test_an_asynchronous_test_is_awaited_for_each_row() -> None:
    async def below(number: int, limit: int) -> None:
        below_ten(number, limit)

    subtests = Recorder()
    await each_row(("number", "limit"), [(1, 2), (2, 2)])(below)(subtests=subtests)
    assert subtests.failed == ["number=2, limit=2"]


@pytest.mark.parametrize("rows", [{"few": 1, "many": 99}, [pytest.param(1, id="few"), pytest.param(99, id="many")]])
def test_rows_with_names_are_reported_under_them(rows: Any) -> None:
    subtests = Recorder()
    each_row("number", rows)(below_ten)(subtests=subtests)
    assert (subtests.rows, subtests.failed) == (["few", "many"], ["many"])


def test_a_long_row_has_a_short_label() -> None:
    subtests = Recorder()
    each_row("text", ["x" * 1_000_000])(lambda text: None)(subtests=subtests)
    assert len(subtests.rows[0]) < 200


def test_pytest_passes_fixtures_and_no_columns() -> None:
    def takes(number: int, tmp_path: object) -> None: ...

    walker: Callable[..., None] = each_row("number", [1])(takes)
    assert list(inspect.signature(walker).parameters) == ["tmp_path", "subtests"]


def test_a_table_without_rows_and_a_row_of_another_length_are_mistakes() -> None:
    with pytest.raises(AssertionError, match="without rows"):
        each_row("number", [])
    with pytest.raises(ValueError, match="shorter"):
        each_row(("number", "limit"), [(1,)])
