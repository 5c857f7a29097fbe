"""Which scenario runs on which store through which front end: what these add up to, not every combination.

A front end turns a request into values of `state.requests`, and an answer back into its own form. From there on all use
one service, which gives a store keys and bytes. No front end knows a store (`make lint` checks the imports), and no
store can know through which front end a call came. So a fault involves at most two of front end, store and value, and
each pair of the three is tried:

- front end and value: every scenario, with all its values, runs through every front end on one store. That is memory,
  or the first store that can do what the scenario needs.
- front end and store: scenarios between two front ends (fixture `pair`) run on every store. Each front end writes once
  for another, and reads once what another has written.
- store and value: the conformance suite calls the stores themselves. Its tables of values, keys, ETags and
  preconditions hold those used here: a value that is added here because of a store belongs there too.

What only a database shows, or what each store limits in its own way, is marked `every_store`: the stored form of a key,
the largest value, the time of expiry that comes with each kind of read. Such a scenario runs on the other stores too,
through one front end each; the front ends take turns.

Several values of one scenario are subtests: each has keys of its own, and the failure of one hides no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import pytest
from servers.database import Database
from servers.databases import DATABASES, applies

FRONT_ENDS = ("http", "dapr_grpc", "layotto_grpc")
SDKS = ("dapr_sdk", "dapr_sdk_aio")
"""Clients of the Dapr service. What they add is the same on every store."""

THROUGH = {
    "api": (*FRONT_ENDS, *SDKS),
    "pair": (*FRONT_ENDS, *SDKS),
    "grpc_client": ("dapr_grpc", "layotto_grpc"),
    "actors": ("http", "dapr_grpc"),
    "lists": ("http", "dapr_grpc"),
}
"""The front ends of a scenario, by the fixture it asks for."""

STORES = tuple(each for each in DATABASES if not each.is_a_variant)

FrontEnds = tuple[str, ...]


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Choose the stores and front ends of a test that runs in a world."""
    fixtures = metafunc.fixturenames
    if "database" not in fixtures:
        return
    wanted = next((name for name in THROUGH if name in fixtures), None)
    cases = [(store, front_ends) for store in _stores(metafunc) for front_ends in _front_ends(metafunc, store, wanted)]
    ids = ["-".join((str(store), *front_ends)) for store, front_ends in cases]
    if wanted is None:
        metafunc.parametrize("database", [store for store, _ in cases], ids=ids)
    else:
        metafunc.parametrize(("database", "front_ends"), cases, ids=ids)


def _applicable(metafunc: pytest.Metafunc) -> list[Database]:
    return [store for store in STORES if applies(metafunc.definition, store)]


def _stores(metafunc: pytest.Metafunc) -> list[Database]:
    stores = _applicable(metafunc)
    is_for_all = metafunc.definition.get_closest_marker("every_store") or "pair" in metafunc.fixturenames
    return stores if is_for_all else stores[:1]


def _front_ends(metafunc: pytest.Metafunc, store: Database, wanted: str | None) -> Sequence[FrontEnds]:
    """Return what the test runs through on a store, case by case: front ends one by one, in pairs, or none."""
    if wanted is None:
        return [()]
    is_first = store is _applicable(metafunc)[0]
    names = [name for name in THROUGH[wanted] if is_first or name not in SDKS]
    if wanted == "pair":
        return list(zip(names, names[1:] + names[:1], strict=True))
    turn = STORES.index(store) + crc32(metafunc.definition.name.encode())  # the tests begin at different front ends
    return [(name,) for name in names] if is_first else [(names[turn % len(names)],)]
