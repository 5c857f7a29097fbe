"""The writing rule, cell by cell, as apps see it."""

from collections.abc import Callable
from itertools import product

import pytest
from scenarios.state_client import Found, Item, Kind, Refused, StateApi

STALE = "4711"

NewKey = Callable[[], str]


def found(api: StateApi, key: str) -> Found:
    value = api.get("statestore", key)
    assert value is not None
    return value


def conflict(call: Callable[[], None]) -> None:
    with pytest.raises(Refused) as refused:
        call()
    assert refused.value.kind is Kind.CONFLICT
    assert "possible etag mismatch. error from state store" in str(refused.value)


# --- saves ------------------------------------------------------------------------------------------------------------


def test_without_an_etag_the_last_write_wins(api: StateApi, new_key: NewKey, subtests: pytest.Subtests) -> None:
    for etag, concurrency in product((None, ""), (None, "last-write")):
        with subtests.test(etag=etag, concurrency=concurrency):
            key = new_key()
            for value in (b"1", b"2"):
                api.save("statestore", Item(key, value, etag, concurrency))
                assert found(api, key).value == value


@pytest.mark.parametrize("concurrency", [None, "first-write"])
def test_with_an_etag_only_that_state_is_overwritten(api: StateApi, key: str, concurrency: str | None) -> None:
    conflict(lambda: api.save("statestore", Item(key, b"0", STALE, concurrency)))
    assert api.get("statestore", key) is None
    api.save("statestore", Item(key, b"1"))
    first = found(api, key).etag
    api.save("statestore", Item(key, b"2", first, concurrency))
    assert found(api, key).value == b"2"
    for stale in (first, STALE):
        conflict(lambda stale=stale: api.save("statestore", Item(key, b"3", stale, concurrency)))
    assert found(api, key).value == b"2"


def test_any_text_is_an_etag_that_may_not_match(api: StateApi, new_key: NewKey, subtests: pytest.Subtests) -> None:
    for etag in ("abc", "1-2", "no etag at all", "0f5f8a1c-2b57-4d8e-9a0e-2f1c1a6e9d11"):
        with subtests.test(etag=etag):
            key = new_key()
            api.save("statestore", Item(key, b"1"))
            conflict(lambda key=key, etag=etag: api.save("statestore", Item(key, b"2", etag)))
            conflict(lambda key=key, etag=etag: api.delete("statestore", key, etag=etag))
            assert found(api, key).value == b"1"


def test_with_an_etag_the_last_write_wins_if_it_says_so(api: StateApi, key: str) -> None:
    for value in (b"1", b"2"):
        api.save("statestore", Item(key, value, STALE, "last-write"))
        assert found(api, key).value == value


@pytest.mark.parametrize("etag", [None, ""])
def test_a_first_write_without_an_etag_only_creates(api: StateApi, key: str, etag: str | None) -> None:
    api.save("statestore", Item(key, b"1", etag, "first-write"))
    conflict(lambda: api.save("statestore", Item(key, b"2", etag, "first-write")))
    assert found(api, key).value == b"1"
    api.save("statestore", Item(key, b"3"))
    assert found(api, key).value == b"3"
    api.delete("statestore", key)
    api.save("statestore", Item(key, b"4", etag, "first-write"))
    assert found(api, key).value == b"4"


# --- deletes ----------------------------------------------------------------------------------------------------------


def test_a_delete_without_a_precondition_succeeds(api: StateApi, new_key: NewKey, subtests: pytest.Subtests) -> None:
    for etag, concurrency in ((None, None), (None, "last-write"), (STALE, "last-write")):
        with subtests.test(etag=etag, concurrency=concurrency):
            key = new_key()
            api.save("statestore", Item(key))
            for _ in range(2):
                api.delete("statestore", key, etag=etag, concurrency=concurrency)
                assert api.get("statestore", key) is None


@pytest.mark.parametrize("concurrency", [None, "first-write"])
def test_a_delete_with_an_etag_removes_only_that_state(api: StateApi, key: str, concurrency: str | None) -> None:
    conflict(lambda: api.delete("statestore", key, etag=STALE, concurrency=concurrency))
    api.save("statestore", Item(key))
    conflict(lambda: api.delete("statestore", key, etag=STALE, concurrency=concurrency))
    api.delete("statestore", key, etag=found(api, key).etag, concurrency=concurrency)
    assert api.get("statestore", key) is None


def test_a_first_write_delete_of_a_present_key_is_a_mismatch(api: StateApi, key: str) -> None:
    api.delete("statestore", key, concurrency="first-write")
    api.save("statestore", Item(key))
    conflict(lambda: api.delete("statestore", key, concurrency="first-write"))
    assert found(api, key).value == b"1"
