"""Trying a write again when its failure may pass, as the caller's retry policy says (State API, "Retry Policy")."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from .errors import OutcomeUnknown, StoreUnavailable
from .requests import Pattern, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

Result = TypeVar("Result")

MAX_PAUSE_S = 60.0
"""No single pause is longer: doubling would soon outlive any caller."""


def pauses(policy: RetryPolicy) -> Iterator[float]:
    """Yield the pause in seconds before each further attempt: constant, or interval * 2^(n-1)."""
    pause = policy.interval_ms / 1000
    for _ in range(policy.threshold):
        yield min(pause, MAX_PAUSE_S)
        if policy.pattern is Pattern.EXPONENTIAL:
            pause *= 2


async def attempt(call: Callable[[], Awaitable[Result]], policy: RetryPolicy | None, *, is_conditional: bool) -> Result:
    """Return what `call` returns, after as many attempts as `policy` allows.

    Only StoreUnavailable is worth another attempt. A conditional write whose outcome is unknown is not repeated: had it
    happened, its own new ETag would make the repetition fail and the caller would believe that somebody else wrote.
    """
    if policy is None:
        return await call()
    for pause in pauses(policy):
        try:
            return await call()
        except StoreUnavailable as fault:
            if is_conditional and isinstance(fault, OutcomeUnknown):
                raise
        await asyncio.sleep(pause)
    return await call()
