"""Trying a write again when its failure may pass, as the caller's retry policy says (State API, "Retry Policy")."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from .errors import OutcomeUnknownError, StoreError, StoreUnavailableError
from .requests import Pattern, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

Result = TypeVar("Result")

LOOK_S = 1.0
"""Between two looks whether memory is short."""
MAX_PAUSE_S = 60.0
"""No single pause is longer: doubling would soon outlive any caller."""


def pauses(policy: RetryPolicy) -> Iterator[float]:
    """Yield the pause in seconds before each further attempt: constant, or interval * 2^(n-1)."""
    pause = policy.interval_ms / 1000
    for _ in range(policy.threshold):
        yield min(pause, MAX_PAUSE_S)
        if policy.pattern is Pattern.EXPONENTIAL:
            pause *= 2


def _never() -> bool:
    return False


async def attempt(
    call: Callable[[], Awaitable[Result]],
    policy: RetryPolicy | None,
    *,
    is_conditional: bool,
    is_short: Callable[[], bool] = _never,
) -> Result:
    """Return what `call` returns, after as many attempts as `policy` allows.

    A conditional write whose outcome is unknown is not repeated: had it happened, its own new ETag would make the
    repetition fail and the caller would believe that somebody else wrote. Any other is, since the caller asks for it.
    After an attempt whose outcome is unknown, no later failure says that nothing happened. Once `is_short` of memory,
    the failure is final: a policy can ask for attempts over hours, and the values are held meanwhile.
    """
    if policy is None:
        return await call()
    doubtful = False
    for pause in (*pauses(policy), None):
        try:
            return await call()
        except StoreError as error:
            is_unknown = isinstance(error, OutcomeUnknownError)
            may_pass = isinstance(error, StoreUnavailableError) or (is_unknown and not is_conditional)
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
        await asyncio.sleep(min(left, LOOK_S))
    return False
