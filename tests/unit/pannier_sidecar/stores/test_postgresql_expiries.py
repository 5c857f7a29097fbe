"""Rows that expire are known in the order of their expiry, a bounded number of them, whatever is written meanwhile."""

import random

from pannier_sidecar.stores.postgresql.expiries import LISTED, MAX_KNOWN, Expiries


class Table:
    """Rows that expire; those that have expired are not removed."""

    def __init__(self) -> None:
        self.rows: dict[str, float] = {}

    def listed(self, after: tuple[float, str]) -> list[tuple[str, float]]:
        found = sorted((at, name) for name, at in self.rows.items() if (at, name) > after)
        return [(name, at) for at, name in found[:LISTED]]


def reported(expiries: Expiries, table: Table, now: float) -> list[str]:
    after = expiries.begin_listing(now)
    if after is not None:
        expiries.end_listing(table.listed(after))
    return list(expiries.due(now))


def test_a_row_is_due_once_when_its_time_has_come() -> None:
    table, expiries = Table(), Expiries(10.0)
    table.rows = {"before": 9.0, "soon": 11.0, "later": 20.0}
    assert reported(expiries, table, 10.0) == []
    assert reported(expiries, table, 10.9) == []
    assert reported(expiries, table, 11.0) == ["soon"]
    assert reported(expiries, table, 30.0) == ["later"]
    assert reported(expiries, table, 40.0) == []


def test_what_is_written_counts_also_while_rows_are_listed() -> None:
    expiries = Expiries(10.0)
    assert expiries.begin_listing(10.0) == (10.0, "")
    expiries.note("prolonged", 50.0)
    expiries.note("deleted", None)
    expiries.note("new", 12.0)
    expiries.end_listing([("prolonged", 11.0), ("deleted", 11.0), ("kept", 11.0)])
    assert expiries.due(20.0) == ["kept", "new"]
    expiries.note("prolonged", 30.0)
    assert expiries.due(40.0) == ["prolonged"]
    assert expiries.due(60.0) == []


def test_more_rows_than_are_listed_at_once_are_all_due_in_time() -> None:
    table, expiries = Table(), Expiries(0.0)
    table.rows = {str(number): float(number // 3) for number in range(3, 3 * LISTED)}
    found: list[str] = []
    for now in range(LISTED + 1):
        found += reported(expiries, table, float(now))
    assert sorted(found) == sorted(table.rows)


def test_rows_that_expire_together_are_told_apart_by_name_or_the_listing_is_behind() -> None:
    table, expiries = Table(), Expiries(0.0)
    table.rows = {f"{number:06}": 5.0 for number in range(2 * LISTED)}
    assert reported(expiries, table, 0.0) == []
    assert not expiries.is_behind(4.0)
    assert len(reported(expiries, table, 5.0)) == 2 * LISTED
    assert expiries.is_behind(5.0)  # there may be more of them


def test_no_more_are_known_than_the_bound_and_none_is_missed() -> None:
    table, expiries, shuffled = Table(), Expiries(0.0), random.Random(1)
    assert reported(expiries, table, 0.0) == []
    for number in range(2 * MAX_KNOWN):
        at = shuffled.uniform(1, 100)
        table.rows[str(number)] = at
        expiries.note(str(number), at)
        assert len(expiries._heap) <= MAX_KNOWN + 1  # the bound is the point
    found: set[str] = set()
    now = 0.0
    while now <= 101:
        found.update(reported(expiries, table, now))
        now += 0.5
    assert found == set(table.rows)


def test_many_writes_of_few_rows_are_no_more_than_the_bound() -> None:
    expiries = Expiries(0.0)
    expiries.begin_listing(0.0)
    expiries.end_listing([])
    for number in range(3 * MAX_KNOWN):
        expiries.note(str(number % 7), float(number + 1))
    assert len(expiries._heap) <= MAX_KNOWN + 1
    assert len(expiries.due(4.0 * MAX_KNOWN)) == 7
