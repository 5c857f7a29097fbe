"""Repeats a write whose failure may pass, as the caller's retry policy says (State API, "Retry Policy")."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from .errors import CircuitOpenError, OutcomeUnknownError, StoreError, StoreUnavailableError
from .requests import Pattern, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

Result = TypeVar("Result")

CHECK_INTERVAL_S = 1.0
"""Seconds between two checks for a shortage of memory."""
MAX_PAUSE_S = 60.0
"""Maximum of one pause: with doubling, pauses would soon be longer than any caller waits."""


def pauses(policy: RetryPolicy) -> Iterator[float]:
    """Yield the pause in seconds before each further attempt: constant, or interval * 2^(n-1)."""
    pause = policy.interval_ms / 1000
    for _ in range(policy.threshold):
        yield min(pause, MAX_PAUSE_S)
        if policy.pattern is Pattern.EXPONENTIAL:
            pause *= 2


def may_pass_soon(error: object) -> bool:
    """Return whether a call certainly did nothing and may succeed now: a circuit breaker that is open stays so."""
    return isinstance(error, StoreUnavailableError) and not isinstance(error, CircuitOpenError)


def never_short() -> bool:
    """Return False: memory is never short."""
    return False


async def attempt(
    call: Callable[[], Awaitable[Result]],
    policy: RetryPolicy | None,
    *,
    is_conditional: bool,
    is_short: Callable[[], bool] = never_short,
) -> Result:
    """Return what `call` returns, after as many attempts as `policy` allows.

    A conditional write whose outcome is unknown is not repeated: if it has happened, its own new ETag makes the
    repetition fail, and the caller would believe that somebody else wrote. Other writes are repeated, since the caller
    asks for it. After an attempt whose outcome is unknown, no later failure can mean that nothing happened. If
    `is_short` says that memory is short, the failure is final: a policy can ask for attempts over hours, and the values
    are held meanwhile.
    """
    if policy is None:
        return await call()
    doubtful = False
    for pause in (*pauses(policy), None):
        try:
            return await call()
        except StoreError as error:
            is_unknown = isinstance(error, OutcomeUnknownError)
            may_pass = may_pass_soon(error) or (is_unknown and not is_conditional)
            if pause is None or not may_pass or not await _pause(pause, is_short):
                if doubtful and not is_unknown:
                    raise OutcomeUnknownError(f"{error}; an earlier attempt was not answered") from error
                raise
            doubtful = doubtful or is_unknown
    raise AssertionError("the last attempt returns or raises")


async def _pause(seconds: float, is_short: Callable[[], bool]) -> bool:
    """Wait before another attempt; return whether there may be one."""
    end = monotonic() + seconds
    while not is_short():
        left = end - monotonic()
        if left <= 0:
            return True
        await asyncio.sleep(min(left, CHECK_INTERVAL_S))
    return False
