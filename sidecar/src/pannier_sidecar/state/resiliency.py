"""The state machines of Dapr's Resiliency policies: a circuit breaker, and the pauses between attempts.

They have no clock and no random numbers of their own, so they can be tested by hand. Not to be confused with
`loading/circuit_breaker.py`, which every store has and which opens when the store as a whole cannot be reached.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from .errors import CircuitOpenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pannier_crds.resiliency import CircuitBreakerPolicy, RetryPolicy

FIRST_PAUSE_S: Final = 0.5
MIN_PAUSE_S: Final = 0.01
"""Minimum of a pause: without one, a store that fails at once would keep the event loop for as long as it fails."""
GROWTH: Final = 1.5
SPREAD: Final = 0.5
"""An exponential pause is chosen at random between 0.5 and 1.5 times its nominal length, as in Dapr."""


class BreakerState(Enum):
    """The states of a breaker, in the words of Dapr's metrics."""

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


class PolicyBreaker:
    """Counts the outcomes of calls, and refuses calls while it is open.

    Times are seconds of any one clock that never goes back.
    """

    def __init__(self, policy: CircuitBreakerPolicy, now: float):
        self.policy = policy
        self.state = BreakerState.CLOSED
        self._generation = 0
        """Rises when the counts begin again, so that the end of an earlier call counts no more."""
        self._ends_at: float | None = None
        """When it stops being open or, while it is closed, when its counts begin again; None: never."""
        self._requests = self._successes = self._failures = 0
        self._consecutive_successes = self._consecutive_failures = 0
        self._begin(BreakerState.CLOSED, now)

    def admit(self, now: float) -> int:
        """Count a call that is to begin, and return the token that `end` takes. Raises CircuitOpenError."""
        self._advance(now)
        if self.state is BreakerState.OPEN:
            left = 0.0 if self._ends_at is None else self._ends_at - now
            raise CircuitOpenError("its circuit breaker is open, because too many calls failed", left)
        if self.state is BreakerState.HALF_OPEN and self._requests >= self.policy.max_requests:
            message = f"its circuit breaker is half-open, and {self._requests} calls try whether it works again"
            raise CircuitOpenError(message, 0.0, "too many requests")
        self._requests += 1
        return self._generation

    def end(self, token: int, now: float, *, succeeded: bool | None) -> None:
        """Count the end of a call that was admitted. None: it was given up before its outcome was known."""
        self._advance(now)
        if token != self._generation:
            return
        if succeeded is None:
            self._requests -= 1  # so that a half-open breaker admits another call in its place
        elif succeeded:
            self._successes += 1
            self._consecutive_successes += 1
            self._consecutive_failures = 0
            is_enough = self._consecutive_successes >= self.policy.max_requests
            if self.state is BreakerState.HALF_OPEN and is_enough:
                self._begin(BreakerState.CLOSED, now)
        else:
            self._failures += 1
            self._consecutive_failures += 1
            self._consecutive_successes = 0
            if self.state is BreakerState.HALF_OPEN or self.policy.holds(self._counts()):
                self._begin(BreakerState.OPEN, now)

    def _advance(self, now: float) -> None:
        """Do what time alone does: an open breaker becomes half-open, a closed one forgets its counts."""
        if self._ends_at is None or now < self._ends_at:
            return
        self._begin(BreakerState.HALF_OPEN if self.state is BreakerState.OPEN else self.state, now)

    def _begin(self, state: BreakerState, now: float) -> None:
        self.state = state
        self._generation += 1
        self._requests = self._successes = self._failures = 0
        self._consecutive_successes = self._consecutive_failures = 0
        lasts = {BreakerState.CLOSED: self.policy.interval, BreakerState.OPEN: self.policy.timeout}.get(state, 0.0)
        self._ends_at = now + lasts if lasts else None

    def _counts(self) -> dict[str, int]:
        return {
            "requests": self._requests,
            "totalSuccesses": self._successes,
            "totalFailures": self._failures,
            "consecutiveSuccesses": self._consecutive_successes,
            "consecutiveFailures": self._consecutive_failures,
        }


def pauses(
    policy: RetryPolicy, elapsed: Callable[[], float], uniform: Callable[[float, float], float]
) -> Iterator[float]:
    """Yield the pause in seconds before each further attempt, for as long as the policy allows.

    `elapsed` returns the seconds since the call began; `uniform` a random number between two others. A pause that would
    end after the policy's `max_elapsed` is not begun, so even a policy without a maximum of retries ends.
    """
    nominal = min(FIRST_PAUSE_S, policy.max_interval) if policy.is_exponential else policy.duration
    done = 0
    while policy.max_retries is None or done < policy.max_retries:
        pause = uniform(nominal * (1 - SPREAD), nominal * (1 + SPREAD)) if policy.is_exponential else nominal
        pause = max(pause, MIN_PAUSE_S)
        if elapsed() + pause > policy.max_elapsed:
            return
        yield pause
        done += 1
        if policy.is_exponential:
            nominal = min(nominal * GROWTH, policy.max_interval)
