"""The cost of a budget that is used up: connections are weighed seldom, however many and however small they are."""

from __future__ import annotations

from typing import Any, cast

from pannier_sidecar.serving import Budget, Listener

LIMIT = 1_000_000


class Connection:
    """A connection that holds some bytes for its client, or for a store."""

    def __init__(self, budget: Budget, *, waits_for_client: bool):
        self.budget = budget
        self.waits_for_client = waits_for_client
        self.held = 0
        self.weighed = 0

    def hold(self, size: int) -> None:
        self.held += size
        self.budget.held += size
        if self.budget.held > self.budget.limit:
            self.budget.relieve()

    def weight(self, now: float) -> float:
        self.weighed += 1
        return float(self.held) if self.waits_for_client else 0.0

    def give_up(self, excess: int) -> None:
        self.budget.held -= self.held
        self.held = 0


def budget_with(number: int, *, waits_for_client: bool) -> tuple[Budget, list[Connection]]:
    budget = Budget(LIMIT)
    listener = Listener(budget=budget)
    budget.listeners.append(listener)
    connections = [Connection(budget, waits_for_client=waits_for_client) for _ in range(number)]
    listener.open.update(cast("list[Any]", connections))
    return budget, connections


def test_thousands_of_small_requests_over_the_budget_are_not_weighed_for_each_of_them() -> None:
    budget, connections = budget_with(4_000, waits_for_client=True)
    for connection in connections:
        connection.hold(1_000)
        assert budget.held <= LIMIT
    assert connections[0].weighed < 60


def test_a_budget_that_stores_fill_is_not_weighed_for_each_request() -> None:
    budget, (large, *others) = budget_with(4_000, waits_for_client=False)
    large.hold(LIMIT)
    for connection in others:
        connection.hold(100)
        connection.hold(-100)
    assert large.weighed < 5
    assert budget.held == LIMIT


def test_waiting_clients_are_given_up_again_once_stores_have_released_memory() -> None:
    budget, (at_a_store, *others) = budget_with(30, waits_for_client=True)
    at_a_store.waits_for_client = False
    at_a_store.hold(3 * LIMIT)
    at_a_store.hold(-3 * LIMIT)
    for connection in others:
        connection.hold(LIMIT // 20)
        assert budget.held <= LIMIT
