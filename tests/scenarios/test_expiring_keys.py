"""Keys with a time to live."""

import time
from collections.abc import Callable

import pytest
from scenarios.state_client import Found, Item, Kind, Operation, Refused, StateApi
from scenarios.waiting import until_gone
from scenarios.worlds import World

from pannier_sidecar.state.store import Feature


def found(api: StateApi, key: str) -> Found:
    value = api.get("statestore", key)
    assert value is not None
    return value


def lasting(key: str, seconds: str, value: bytes = b"1") -> Item:
    return Item(key, value, metadata={"ttlInSeconds": seconds})


@pytest.mark.every_store
@pytest.mark.needs(Feature.TTL)
def test_every_read_of_an_expiring_key_says_when(api: StateApi, here: World, key: str) -> None:
    api.save("statestore", lasting(key, "1000"))
    value = found(api, key)
    assert 900 < value.expires_s - time.time() <= 1001
    [entry] = api.bulk_get("statestore", [key])
    assert value.is_like(entry.found)
    if here.can(Feature.KEYS_LIKE):
        page, _ = here.http.keys("statestore", key, values=True)
        [entry] = page
        assert value.is_like(entry.found)


def test_a_key_expires(api: StateApi, here: World, key: str) -> None:
    api.save("statestore", lasting(f"{key}1", "1"))
    api.save("statestore", lasting(f"{key}2", "1000"))
    until_gone(lambda: api.get("statestore", f"{key}1"))
    assert found(api, f"{key}2")
    assert [bool(entry.found) for entry in api.bulk_get("statestore", [f"{key}1", f"{key}2"])] == [False, True]
    if here.can(Feature.KEYS_LIKE):
        page, _ = here.http.keys("statestore", key)
        assert [entry.key for entry in page] == [f"{key}2"]
    api.save("statestore", Item(f"{key}1", b"2", concurrency="first-write"))
    assert found(api, f"{key}1").value == b"2"


@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_a_key_written_in_a_transaction_expires(api: StateApi, key: str) -> None:
    api.transact("statestore", Operation("upsert", lasting(key, "1")))
    until_gone(lambda: api.get("statestore", key))


def test_a_later_write_without_a_time_lets_the_key_live(
    api: StateApi, new_key: Callable[[], str], subtests: pytest.Subtests
) -> None:
    for seconds in ("-1", "0", None):
        with subtests.test(seconds=seconds):
            key = new_key()
            api.save("statestore", lasting(key, "1000"))
            api.save("statestore", Item(key, b"2") if seconds is None else lasting(key, seconds, b"2"))
            assert (found(api, key).value, found(api, key).expires_at) == (b"2", None)


def test_an_invalid_time_is_refused(api: StateApi, new_key: Callable[[], str], subtests: pytest.Subtests) -> None:
    for seconds in ("soon", "1.5", "-2", "99999999999", "1h"):
        with subtests.test(seconds=seconds):
            key = new_key()
            with pytest.raises(Refused) as refused:
                api.save("statestore", lasting(key, seconds))
            assert refused.value.kind is Kind.MALFORMED
            assert "ttlInSeconds" in str(refused.value)
            assert api.get("statestore", key) is None
