"""The circuit breaker and the pauses of a Resiliency, with a clock by hand."""

from itertools import islice

import pytest

from pannier_crds.resiliency import MAX_RETRYING_S, CircuitBreakerPolicy, RetryPolicy
from pannier_crds.trip_condition import read_condition
from pannier_sidecar.state.errors import CircuitOpenError
from pannier_sidecar.state.resiliency import MIN_PAUSE_S, BreakerState, PolicyBreaker, pauses


def breaker(trip: str = "consecutiveFailures >= 2", max_requests: int = 1, interval: float = 0.0) -> PolicyBreaker:
    return PolicyBreaker(CircuitBreakerPolicy(max_requests, interval, 10.0, trip, read_condition(trip)), 0.0)


def call(made: PolicyBreaker, now: float, *, succeeded: bool | None) -> None:
    made.end(made.admit(now), now, succeeded=succeeded)


def opened(max_requests: int = 1) -> PolicyBreaker:
    """A breaker that is open from second 0 to second 10."""
    made = breaker(max_requests=max_requests)
    for _ in range(2):
        call(made, 0.0, succeeded=False)
    assert made.state is BreakerState.OPEN
    return made


def test_it_opens_when_its_condition_holds_and_says_when_to_come_back() -> None:
    made = breaker()
    for succeeded in (False, True, False):
        call(made, 0.0, succeeded=succeeded)
    assert made.state is BreakerState.CLOSED
    call(made, 1.0, succeeded=False)
    with pytest.raises(CircuitOpenError) as refused:
        made.admit(3.0)
    assert (refused.value.retry_after, refused.value.dapr_text) == (8.0, "circuit breaker is open")


def test_half_open_it_admits_as_many_as_it_may_and_closes_after_as_many_successes() -> None:
    made = opened(max_requests=2)
    tokens = [made.admit(10.0), made.admit(10.0)]
    with pytest.raises(CircuitOpenError) as refused:
        made.admit(10.0)
    assert refused.value.dapr_text == "too many requests"
    made.end(tokens[0], 11.0, succeeded=True)
    assert made.state is BreakerState.HALF_OPEN
    made.end(tokens[1], 11.0, succeeded=True)
    assert made.state is BreakerState.CLOSED


def test_half_open_one_failure_opens_it_again() -> None:
    made = opened()
    call(made, 10.0, succeeded=False)
    with pytest.raises(CircuitOpenError):
        made.admit(19.9)
    call(made, 20.0, succeeded=True)
    assert made.state is BreakerState.CLOSED


def test_half_open_a_call_that_is_given_up_makes_room_for_another() -> None:
    made = opened()
    call(made, 10.0, succeeded=None)
    call(made, 10.0, succeeded=True)
    assert made.state is BreakerState.CLOSED


def test_the_end_of_a_call_from_before_it_opened_counts_no_more() -> None:
    made = breaker()
    early = [made.admit(0.0) for _ in range(2)]
    for _ in range(2):
        call(made, 0.0, succeeded=False)
    made.admit(10.0)
    made.end(early[0], 10.0, succeeded=True)
    made.end(early[1], 10.0, succeeded=False)
    assert made.state is BreakerState.HALF_OPEN


def test_counts_of_a_closed_breaker_begin_again_after_its_interval() -> None:
    made = breaker(interval=5.0)
    call(made, 4.0, succeeded=False)
    call(made, 5.0, succeeded=False)
    assert made.state is BreakerState.CLOSED
    call(made, 6.0, succeeded=False)
    assert made.state is BreakerState.OPEN


def test_a_condition_may_use_every_count() -> None:
    made = breaker("requests == 3 && totalSuccesses == 1 && totalFailures == 2 && consecutiveSuccesses == 0")
    for succeeded in (True, False, False):
        call(made, 0.0, succeeded=succeeded)
    assert made.state is BreakerState.OPEN


def never(_low: float, high: float) -> float:
    return high


def test_constant_pauses_are_equal_and_counted() -> None:
    assert list(pauses(RetryPolicy(duration=2.0, max_retries=3), lambda: 0.0, never)) == [2.0] * 3
    assert list(pauses(RetryPolicy(max_retries=0), lambda: 0.0, never)) == []


def test_exponential_pauses_grow_to_their_maximum_and_are_randomised() -> None:
    ranges: list[tuple[float, float]] = []

    def middle(low: float, high: float) -> float:
        ranges.append((low, high))
        return (low + high) / 2

    policy = RetryPolicy(is_exponential=True, max_interval=1.5)
    assert list(islice(pauses(policy, lambda: 0.0, middle), 5)) == pytest.approx([0.5, 0.75, 1.125, 1.5, 1.5])
    assert ranges[0] == (0.25, 0.75)


def test_there_is_always_a_pause(subtests: pytest.Subtests) -> None:
    for policy in (RetryPolicy(duration=0.0), RetryPolicy(is_exponential=True, max_interval=0.0)):
        with subtests.test(str(policy)):
            assert list(islice(pauses(policy, lambda: 0.0, never), 2)) == [MIN_PAUSE_S] * 2


def test_without_a_maximum_of_retries_they_end_all_the_same() -> None:
    waited: list[float] = []
    for pause in pauses(RetryPolicy(duration=5.0), lambda: sum(waited), never):
        waited.append(pause)
    assert waited == [5.0] * 180 and sum(waited) == MAX_RETRYING_S
