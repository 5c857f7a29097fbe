"""Values come back as they were saved."""

import json
from collections.abc import Callable

import pytest
from scenarios.state_client import Item, Kind, Refused, StateApi
from scenarios.worlds import World

VALUES = (
    b"1",
    b"-0.0",
    b"1.10",
    b"1e400",
    b"123456789012345678901234567890",
    b"0.1000000000000000055511151231257827",
    b"true",
    b"null",
    b'""',
    b'"text"',
    b'"\\u00fc \\/ \\n"',
    '"ü 漢字 🦊"'.encode(),
    b'"<script>&amp;"',
    b"[]",
    b"{}",
    b'{"z":1,"a":2,"m":{"y":1,"b":[1,2.0,3]}}',
    b'{"twice":1,"twice":2}',
    b'{ "spaces" :\t[ 1 , 2 ]\n}',
    b'"[{\\"key\\": \\"looks like a request\\"}]"',
    b"[" * 200 + b"]" * 200,
)


KEYS = (
    "/slash",
    "a b",
    "+plus",
    "%percent",
    "ü漢🦊",
    "?q=1",
    "#x",
    "..",
    ".",
    "|one",
    "'\"",
    "\\",
    "a\nb",
    "\x7f",
    "&;=",
)
"""Parts of keys that clients, URLs or JSON write in ways of their own."""


def test_a_value_comes_back_byte_for_byte(api: StateApi, new_key: Callable[[], str], subtests: pytest.Subtests) -> None:
    for value in VALUES:
        with subtests.test(value=value[:24]):
            key = new_key()
            api.save("statestore", Item(key, value))
            found = api.get("statestore", key)
            assert found is not None
            assert found.value == value
            assert found.etag


@pytest.mark.every_store
def test_a_value_of_four_megabytes_or_the_largest_comes_back(api: StateApi, here: World, key: str) -> None:
    size = min(4_193_600, here.database.largest_value or 4_193_600)
    value = b'"' + b"0123456789abcdef" * (size // 16 - 1) + b'"'
    api.save("statestore", Item(key, value))
    found = api.get("statestore", key)
    assert found is not None
    assert found.value == value


def test_a_key_that_is_not_there_is_no_error(api: StateApi, key: str) -> None:
    assert api.get("statestore", key) is None


def test_an_item_without_a_value_stores_null_or_nothing(api: StateApi, here: World, key: str) -> None:
    """Values over HTTP are JSON; values over gRPC are bytes and may be empty."""
    api.save("statestore", Item(key, None))
    found = api.get("statestore", key)
    assert found is not None
    assert found.value == (b"null" if api is here.http else b"")
    assert found.etag


def test_a_save_of_nothing_succeeds(api: StateApi) -> None:
    api.save("statestore")


def test_items_are_written_in_order(api: StateApi, key: str) -> None:
    """The specs: "Dapr will execute all operations in the payload in the order they are specified"."""
    api.save("statestore", *[Item(key, b"%d" % number) for number in range(20)])
    found = api.get("statestore", key)
    assert found is not None
    assert found.value == b"19"


def test_many_items_are_saved_at_once(api: StateApi, key: str) -> None:
    items = [Item(f"{key}{number}", json.dumps({"number": number}).encode()) for number in range(100)]
    api.save("statestore", *items)
    for item in items[::13]:
        found = api.get("statestore", item.key)
        assert found is not None
        assert found.value == item.value


def test_an_item_that_fails_stops_no_other_one_and_is_named(api: StateApi, key: str) -> None:
    api.save("statestore", Item(f"{key}2", b"0"))
    with pytest.raises(Refused) as refused:
        api.save("statestore", Item(f"{key}1"), Item(f"{key}2", etag="987654321"), Item(f"{key}3"))
    assert refused.value.kind is Kind.CONFLICT
    assert f"{key}2" in str(refused.value)
    values = [
        entry.found and entry.found.value for entry in api.bulk_get("statestore", [f"{key}{n}" for n in (1, 2, 3)])
    ]
    assert values == [b"1", b"0", b"1"]


def test_any_text_can_be_a_key(api: StateApi, key: str, subtests: pytest.Subtests) -> None:
    for part in KEYS:
        for name in (key + part, part + key):
            with subtests.test(key=name):
                api.save("statestore", Item(name, json.dumps(name).encode()))
                found = api.get("statestore", name)
                assert found is not None
                assert json.loads(found.value) == name
                api.delete("statestore", name)
                assert api.get("statestore", name) is None


def test_keys_may_be_called_like_parts_of_the_api(api: StateApi, subtests: pytest.Subtests) -> None:
    for name in ("bulk", "transaction", "keys", "state", "v1.0", "query"):
        with subtests.test(key=name):
            api.save("statestore", Item(name, b'"v"'))
            found = api.get("statestore", name)
            assert found is not None
            assert found.value == b'"v"'
            api.delete("statestore", name)
            assert api.get("statestore", name) is None


def test_each_write_gives_another_etag(api: StateApi, key: str) -> None:
    seen = set()
    for number in range(5):
        api.save("statestore", Item(key, b"%d" % (number % 2)))
        found = api.get("statestore", key)
        assert found is not None
        seen.add(found.etag)
    assert len(seen) == 5


def test_a_deleted_key_is_gone_and_may_come_back(api: StateApi, key: str) -> None:
    api.save("statestore", Item(key))
    api.delete("statestore", key)
    assert api.get("statestore", key) is None
    api.delete("statestore", key)
    api.save("statestore", Item(key, b"2"))
    found = api.get("statestore", key)
    assert found is not None
    assert found.value == b"2"


def test_consistency_is_taken_by_every_call(
    api: StateApi, new_key: Callable[[], str], subtests: pytest.Subtests
) -> None:
    for consistency in ("strong", "eventual"):
        with subtests.test(consistency=consistency):
            key = new_key()
            api.save("statestore", Item(key, b"1", consistency=consistency))
            found = api.get("statestore", key, consistency=consistency)
            assert found is not None
            api.delete("statestore", key, consistency=consistency)
            assert api.get("statestore", key) is None


def calls_with(api: StateApi, key: str) -> dict[str, Callable[[], object]]:
    """Every call that has a key."""
    return {
        "save": lambda: api.save("statestore", Item(key)),
        "get": lambda: api.get("statestore", key),
        "delete": lambda: api.delete("statestore", key),
        "bulk get": lambda: api.bulk_get("statestore", ["fine", key]),
    }


def test_a_key_with_the_separator_is_refused_everywhere(api: StateApi, subtests: pytest.Subtests) -> None:
    for key in ("a||b", "||", "a||"):
        for name, call in calls_with(api, key).items():
            with subtests.test(name, key=key):
                with pytest.raises(Refused) as refused:
                    call()
                assert (refused.value.kind, refused.value.code) == (Kind.MALFORMED, "ERR_MALFORMED_REQUEST")
                assert "||" in str(refused.value)


def test_an_empty_key_is_refused_everywhere(api: StateApi, subtests: pytest.Subtests) -> None:
    for name, call in calls_with(api, "").items():
        with subtests.test(name):
            with pytest.raises(Refused) as refused:
                call()
            assert refused.value.kind is Kind.MALFORMED
            assert '"key" is a required field' in str(refused.value)


@pytest.mark.every_store
def test_a_key_longer_than_the_store_can_hold_is_refused(api: StateApi, key: str) -> None:
    with pytest.raises(Refused) as refused:
        api.save("statestore", Item(key * 30_000))
    assert refused.value.kind is Kind.MALFORMED
    assert "shorter" in str(refused.value) or not api.gives_advice
