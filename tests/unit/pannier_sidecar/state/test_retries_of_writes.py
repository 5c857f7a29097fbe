"""Which failures are worth another attempt, and the pauses in between."""

import asyncio
import time

import pytest

from pannier_sidecar.state import retries
from pannier_sidecar.state.errors import (
    ETagMismatchError,
    InvalidETagError,
    KeyRefusedError,
    NotSupportedError,
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pannier_sidecar.state.requests import Pattern, RetryPolicy

THRICE = RetryPolicy(interval_ms=1, threshold=3)


class Failing:
    """Fails with each fault in turn, then succeeds."""

    def __init__(self, *faults: StoreError):
        self.faults = list(faults)
        self.attempts = 0

    async def __call__(self) -> str:
        self.attempts += 1
        if self.faults:
            raise self.faults.pop(0)
        return "done"


def test_linear_pauses_are_equal() -> None:
    assert list(retries.pauses(RetryPolicy(250, 4, Pattern.LINEAR))) == [0.25] * 4


def test_exponential_pauses_double() -> None:
    assert list(retries.pauses(RetryPolicy(100, 4, Pattern.EXPONENTIAL))) == [0.1, 0.2, 0.4, 0.8]


def test_no_pause_outlives_its_caller() -> None:
    assert max(retries.pauses(RetryPolicy(1000, 40, Pattern.EXPONENTIAL))) == retries.MAX_PAUSE_S


async def test_without_a_policy_there_is_one_attempt() -> None:
    call = Failing(StoreUnavailableError("down"))
    with pytest.raises(StoreUnavailableError):
        await retries.attempt(call, None, is_conditional=False)
    assert call.attempts == 1


async def test_transient_failures_are_tried_until_they_pass() -> None:
    call = Failing(StoreUnavailableError("down"), StoreUnavailableError("still down"))
    assert await retries.attempt(call, THRICE, is_conditional=True) == "done"
    assert call.attempts == 3


async def test_the_last_failure_is_reported_when_the_attempts_are_used_up() -> None:
    call = Failing(*(StoreUnavailableError(str(number)) for number in range(9)))
    with pytest.raises(StoreUnavailableError, match="3"):
        await retries.attempt(call, THRICE, is_conditional=False)
    assert call.attempts == 4


async def test_a_threshold_of_zero_is_one_attempt() -> None:
    call = Failing(StoreUnavailableError("down"))
    with pytest.raises(StoreUnavailableError):
        await retries.attempt(call, RetryPolicy(1, 0), is_conditional=False)
    assert call.attempts == 1


@pytest.mark.parametrize(
    "fault",
    [ETagMismatchError(), InvalidETagError(), KeyRefusedError(), NotSupportedError(), StoreRefusedError()],
    ids=repr,
)
async def test_permanent_failures_are_tried_once(fault: StoreError) -> None:
    call = Failing(fault)
    with pytest.raises(type(fault)):
        await retries.attempt(call, THRICE, is_conditional=False)
    assert call.attempts == 1


async def test_a_conditional_write_whose_answer_was_lost_is_not_repeated() -> None:
    call = Failing(OutcomeUnknownError("lost"))
    with pytest.raises(OutcomeUnknownError):
        await retries.attempt(call, THRICE, is_conditional=True)
    assert call.attempts == 1


async def test_an_unconditional_write_whose_answer_was_lost_is_repeated() -> None:
    call = Failing(OutcomeUnknownError("lost"))
    assert await retries.attempt(call, THRICE, is_conditional=False) == "done"
    assert call.attempts == 2


@pytest.mark.parametrize("last", [StoreUnavailableError("down"), StoreRefusedError("full")], ids=repr)
async def test_after_an_unanswered_attempt_no_error_says_that_nothing_was_written(last: StoreError) -> None:
    call = Failing(OutcomeUnknownError("lost"), *[last] * 9)
    with pytest.raises(OutcomeUnknownError, match=f"{last}; an earlier attempt was not answered") as caught:
        await retries.attempt(call, THRICE, is_conditional=False)
    assert str(caught.value).endswith("read the key before writing again")


async def test_the_pauses_are_kept() -> None:
    call = Failing(StoreUnavailableError(), StoreUnavailableError())
    started = time.monotonic()
    await retries.attempt(call, RetryPolicy(40, 3, Pattern.EXPONENTIAL), is_conditional=False)
    assert time.monotonic() - started >= 0.11


async def test_a_caller_that_gives_up_ends_the_attempts() -> None:
    call = Failing(*(StoreUnavailableError() for _ in range(9)))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await retries.attempt(call, RetryPolicy(10_000, 3), is_conditional=False)
    assert call.attempts == 1


async def test_a_policy_over_hours_ends_when_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, sixteen such saves of 4 MiB to a store that was down used up the memory budget for 100 minutes."""
    monkeypatch.setattr(retries, "CHECK_INTERVAL_S", 0.02)
    failing = Failing(*(StoreUnavailableError("down") for _ in range(100)))
    is_short = False
    call = asyncio.create_task(
        retries.attempt(failing, RetryPolicy(60_000, 100), is_conditional=False, is_short=lambda: is_short)
    )
    await asyncio.sleep(0.05)
    assert not call.done()
    is_short = True
    with pytest.raises(StoreUnavailableError, match="down"):
        await asyncio.wait_for(call, 20)
    assert failing.attempts == 1


async def test_a_policy_that_ends_early_says_what_may_have_happened() -> None:
    failing = Failing(OutcomeUnknownError("lost"), StoreUnavailableError("down"))
    looks = iter([False, False, True])
    with pytest.raises(OutcomeUnknownError, match="an earlier attempt was not answered"):
        await retries.attempt(failing, THRICE, is_conditional=False, is_short=lambda: next(looks, True))
