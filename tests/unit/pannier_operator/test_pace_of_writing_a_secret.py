"""A burst of changes causes a few writes, and the last one has the last value."""

from __future__ import annotations

from bisect import bisect_right

from pannier_operator.delivery.backoff import Attempts

KEY = ("shop", "cart")


def written(changes: list[float], end: float) -> list[tuple[float, str]]:
    """Write whenever it is allowed: like a reconcile, at each change and after each pause. `changes` are in order."""
    attempts, writes, held = Attempts(), list[tuple[float, str]](), ""
    now = 0.0
    while now < end:
        wanted = str(bisect_right(changes, now))
        if wanted not in ("0", held) and attempts.pause(KEY, wanted, held, now) <= 0:
            attempts.record(KEY, wanted, held, None, now)
            writes.append((now, wanted))
            held = wanted
        now += 0.01
    return writes


def test_twenty_changes_in_two_seconds_are_a_few_writes_and_the_last_value_wins() -> None:
    writes = written([number / 10 for number in range(1, 21)], end=10.0)
    assert len(writes) <= 6
    assert writes[-1][1] == "20"
    assert writes[-1][0] < 2.0 + 1.1, "a second after the last change"


def test_a_secret_that_never_stops_changing_is_written_once_a_second() -> None:
    writes = written([number / 100 for number in range(1, 6_000)], end=60.0)
    assert 55 <= len(writes) <= 65


def test_changes_with_pauses_between_them_are_written_at_once() -> None:
    changes = [1.0, 1.5, 10.0, 10.2, 10.4, 30.0]
    writes = written(changes, end=40.0)
    assert [value for _, value in writes] == ["1", "2", "3", "4", "5", "6"]
    assert all(at - change < 0.02 for (at, _), change in zip(writes, changes, strict=True))


def test_apps_do_not_wait_for_each_other_and_a_deleted_one_starts_over() -> None:
    attempts = Attempts()
    for number in range(4):
        attempts.record(KEY, str(number), "", None, 0.0)
    assert attempts.pause(KEY, "5", "", 0.0) > 0
    assert attempts.pause(("shop", "orders"), "5", "", 0.0) == 0
    attempts.retain("shop", ())
    assert attempts.pause(KEY, "5", "", 0.0) == 0
