"""Writes are tried again as their retry policy says, if that can help."""

import json
from itertools import pairwise

import pytest
from integration.http_front_end.failing_store import FailingStore, serving_stores
from integration.http_front_end.http_wire import Response, request, save

from pannier_sidecar.state.errors import (
    ETagMismatchError,
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)

INTERVAL_MS = 30
ROUNDING_S = 0.005
"""Clocks of event loops are no finer."""


def policy(threshold: int, pattern: str = "linear") -> str:
    return json.dumps({"interval": INTERVAL_MS, "threshold": threshold, "pattern": pattern})


def query(threshold: int, pattern: str = "linear") -> str:
    return f"retryInterval={INTERVAL_MS}&retryThreshold={threshold}&retryPattern={pattern}"


def calls(threshold: int, pattern: str = "linear", etag: str = "") -> dict[str, bytes]:
    """Every way to write with a retry policy."""
    fields = f'"key": "k", "etag": "{etag}", "options": {{"retryPolicy": {policy(threshold, pattern)}}}'
    step = f'{{"operation": "upsert", "request": {{{fields}}}}}'
    steps = f'{{"operations": [{step}]}}'
    parameters = query(threshold, pattern)
    plain = f'[{{"key": "k", "etag": "{etag}"}}]'
    return {
        "save": save(f"[{{{fields}}}]"),
        "save with parameters": save(plain, target=f"/v1.0/state/statestore?{parameters}"),
        "delete": request("DELETE", f"/v1.0/state/statestore/k?{parameters}", None, f"If-Match: {etag}"),
        "transaction": request("POST", "/v1.0/state/statestore/transaction", steps.encode()),
    }


async def ask(store: FailingStore, call: bytes) -> Response:
    async with serving_stores(statestore=store) as here:
        return await (await here.connect()).ask(call)


def pauses(store: FailingStore) -> list[float]:
    return [later - sooner for sooner, later in pairwise(store.attempts)]


async def test_a_failure_that_may_pass_is_tried_again(subtests: pytest.Subtests) -> None:
    for how, call in calls(3).items():
        with subtests.test(how):
            store = FailingStore(*[StoreUnavailableError("away")] * 3)
            assert (await ask(store, call)).status < 300
            assert len(store.attempts) == 4
            assert min(pauses(store)) >= INTERVAL_MS / 1000 - ROUNDING_S


async def test_pauses_double_if_they_are_to(subtests: pytest.Subtests) -> None:
    for how, call in calls(3, "exponential").items():
        with subtests.test(how):
            store = FailingStore(*[StoreUnavailableError("away")] * 3)
            assert (await ask(store, call)).status < 300
            for number, pause in enumerate(pauses(store)):
                assert pause >= INTERVAL_MS / 1000 * 2**number - ROUNDING_S


async def test_after_the_last_attempt_the_failure_is_reported(subtests: pytest.Subtests) -> None:
    for how, call in calls(2).items():
        with subtests.test(how):
            store = FailingStore(*[StoreUnavailableError("away")] * 9)
            answer = await ask(store, call)
            assert (answer.status, len(store.attempts)) == (503, 3)
            assert "away" in json.loads(answer.body)["message"]


async def test_a_threshold_of_0_means_one_attempt(subtests: pytest.Subtests) -> None:
    for how, call in calls(0).items():
        with subtests.test(how):
            store = FailingStore(StoreUnavailableError("away"))
            assert (await ask(store, call)).status == 503
            assert len(store.attempts) == 1


async def test_permanent_failures_are_not_tried_again(subtests: pytest.Subtests) -> None:
    """Each way to write with one failure, and the other failures in one way: the code that decides on a repetition does
    not see the request.
    """
    each_way: list[tuple[str, bytes, StoreError]] = [(how, call, ETagMismatchError()) for how, call in calls(3).items()]
    others = [("save", calls(3)["save"], fault) for fault in (StoreRefusedError("no"), StoreError("no"))]
    for how, call, fault in [*each_way, *others]:
        with subtests.test(f"{how}: {type(fault).__name__}"):
            store = FailingStore(fault)
            assert (await ask(store, call)).status == fault.http_status
            assert len(store.attempts) == 1


async def test_a_write_with_an_etag_is_not_repeated_when_its_answer_was_lost(subtests: pytest.Subtests) -> None:
    """It may have happened, and then the repetition would not match its own new ETag."""
    for how in calls(0):
        with subtests.test(how):
            store = FailingStore(OutcomeUnknownError("lost"))
            answer = await ask(store, calls(3, etag="1")[how])
            assert (answer.status, len(store.attempts)) == (500, 1)
            assert "lost" in json.loads(answer.body)["message"]
            store = FailingStore(OutcomeUnknownError("lost"))
            assert (await ask(store, calls(3)[how])).status < 300
            assert len(store.attempts) == 2


async def test_without_a_policy_there_is_one_attempt() -> None:
    store = FailingStore(StoreUnavailableError("away"))
    assert (await ask(store, save('[{"key": "k"}]'))).status == 503
    assert len(store.attempts) == 1


async def test_each_item_has_its_own_policy() -> None:
    store = FailingStore(*[StoreUnavailableError("away")] * 3)
    items = f'[{{"key": "a"}}, {{"key": "b", "options": {{"retryPolicy": {policy(1)}}}}}, {{"key": "c"}}]'
    answer = await ask(store, save(items))
    assert (answer.status, len(store.attempts)) == (500, 4)
    message = json.loads(answer.body)["message"]
    assert "key a: away" in message
    assert "key b: away" in message
    assert "key c" not in message
