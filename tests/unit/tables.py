"""Tables that are walked through in one test: a row that takes a microsecond needs no test of its own."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any

import pytest

LONGEST_LABEL = 120


def each_row(names: str | Sequence[str], rows: Iterable[Any] | Mapping[str, Any]) -> Callable[[Any], Any]:
    """Call the test with one row after the other; `pytest.mark.parametrize` would make a test of each.

    Every row is tried, and each that fails is reported as a subtest that shows the row, or its name: its key if `rows`
    are a mapping, or the id of a `pytest.param`. What fixtures keep is shared by all rows.
    """
    keys = [names] if isinstance(names, str) else list(names)
    table = list(_named(keys, rows))
    assert table, "a table without rows proves nothing"

    def walking_through(test: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(test, updated=())
        def walk(*args: Any, subtests: pytest.Subtests, **fixtures: Any) -> None:
            for label, row in table:
                with subtests.test(label):
                    test(*args, **fixtures, **row)

        @wraps(test, updated=())
        async def walk_async(*args: Any, subtests: pytest.Subtests, **fixtures: Any) -> None:
            for label, row in table:
                with subtests.test(label):
                    await test(*args, **fixtures, **row)

        walker: Any = walk_async if inspect.iscoroutinefunction(test) else walk
        walker.pytestmark = getattr(test, "pytestmark", [])
        walker.__signature__ = _with_subtests(inspect.signature(test), keys)
        return walker

    return walking_through


def _named(keys: list[str], rows: Iterable[Any] | Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    entries: Iterable[tuple[Any, Any]] = rows.items() if isinstance(rows, Mapping) else ((None, row) for row in rows)
    for name, row in entries:
        if hasattr(row, "marks"):  # pytest.param
            values, name = row.values, row.id
        else:
            values = (row,) if len(keys) == 1 else row
        named = dict(zip(keys, values, strict=True))
        yield name or ", ".join(f"{key}={value!r}" for key, value in named.items())[:LONGEST_LABEL], named


def _with_subtests(signature: inspect.Signature, keys: list[str]) -> inspect.Signature:
    """Return what pytest should pass: fixtures, without the columns of the table."""
    others = [parameter for parameter in signature.parameters.values() if parameter.name not in keys]
    return signature.replace(parameters=[*others, inspect.Parameter("subtests", inspect.Parameter.KEYWORD_ONLY)])
