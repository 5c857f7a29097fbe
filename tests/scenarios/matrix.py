"""Which scenario runs on which store through which front end: every pair of the three, not every combination.

A front end turns a request into values of `state.requests`, and an answer back into its own form. From there on all use
one service, which gives a store keys and bytes. No front end knows a store (`make lint` checks the imports), and no
store can know through which front end a call came. So a fault involves at most two of the three, and these pairs find
it:

- front end and value: every value through every front end, on memory (`each_value`);
- front end and store: every store through every front end, with the first value;
- store and value: the conformance suite, which calls the stores themselves. Its tables of values, keys, ETags and
  preconditions hold those used here: a value that is added here because of a store belongs there too. Tests of
  decisions before the store is called are marked `memory_only`. Tests that wait for a time to pass are marked
  `takes_seconds`: on stores other than memory they use one front end. Effects of a component's settings that only a
  database shows are tried on every store through one front end (`each_value(..., on_every_store=True)`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import pytest
from servers.database import Database
from servers.databases import DATABASES, applies, named

SDKS = ("dapr_sdk", "dapr_sdk_aio")
FRONT_ENDS = ("http", "dapr_grpc", "layotto_grpc", *SDKS)
GRPC_FRONT_ENDS = ("dapr_grpc", "layotto_grpc")
REFERENCE = "in-memory"
"""The store on which every value is tried through every front end."""

STORES = tuple(each for each in DATABASES if not each.is_a_variant)

FrontEnds = tuple[str, ...]


def each_value(
    names: str | tuple[str, ...],
    values: Sequence[Any],
    ids: Callable[[Any], str] = str,
    on_every_store: bool = False,
) -> pytest.MarkDecorator:
    """Run a test with each value, as `parametrize` does, but on stores other than memory only with the first one.

    With `on_every_store`, one front end has all values on all stores.
    """
    several = not isinstance(names, str)
    rows = [value if several else (value,) for value in values]
    return pytest.mark.each_value(
        names if several else (names,), rows, [ids(value) for value in values], on_every_store
    )


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Choose the stores, front ends and values of a test that runs in a world."""
    if "database" not in metafunc.fixturenames:
        return
    test = metafunc.definition
    mark = test.get_closest_marker("each_value")
    names, rows, row_ids, on_every_store = mark.args if mark else ((), [()], [""], False)
    values = list(zip(rows, row_ids, strict=True))
    has_front_ends = "front_ends" in metafunc.fixturenames
    cases, ids = [], []
    for database in _stores_of(test):
        for number, front_ends in enumerate(_front_ends_of(metafunc.fixturenames, test, database)):
            has_all = database.name == REFERENCE or (on_every_store and number == 0)
            for row, row_id in values if has_all else values[:1]:
                cases.append((database, front_ends, *row) if has_front_ends else (database, *row))
                ids.append("-".join(filter(None, (str(database), *front_ends, row_id))))
    metafunc.parametrize(("database", *(("front_ends",) if has_front_ends else ()), *names), cases, ids=ids)


def _stores_of(test: pytest.Item) -> list[Database]:
    stores = [database for database in STORES if applies(test, database)]
    return stores if test.get_closest_marker("memory_only") is None else [named(REFERENCE)]


def _front_ends_of(fixtures: Sequence[str], test: pytest.Item, database: Database) -> list[FrontEnds]:
    """Return what the test's fixtures need on a store: front ends one by one, in pairs, or none."""
    is_reference = database.name == REFERENCE
    front_ends = [name for name in FRONT_ENDS if name not in SDKS or database.is_tried_by_sdks]
    if "pair" in fixtures:
        # On stores other than memory each front end writes once and reads once.
        neighbours = zip(front_ends, front_ends[1:] + front_ends[:1], strict=True)
        return list(permutations(front_ends, 2) if is_reference else neighbours)
    if "grpc_client" in fixtures:
        front_ends = [*GRPC_FRONT_ENDS]
    elif "api" not in fixtures:
        return [()]
    one_is_enough = test.get_closest_marker("takes_seconds") is not None and not is_reference
    return [(name,) for name in front_ends[: 1 if one_is_enough else None]]
