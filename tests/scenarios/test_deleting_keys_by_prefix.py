"""The app's keys with a prefix are deleted, page by page, and no other key."""

import pytest
from scenarios.state_client import ActorApi, Item, Kind, Refused

from pannier_sidecar.state.store import Feature

pytestmark = pytest.mark.needs(Feature.KEYS_LIKE)


@pytest.mark.every_store
def test_keys_with_a_prefix_are_deleted_page_by_page(lists: ActorApi, group: str) -> None:
    lists.save("statestore", *[Item(f"{group}a{number}") for number in range(7)])
    lists.save("statestore", Item(f"{group}b"), Item(f"x{group}a"))
    deleted, cursor = lists.delete_keys("statestore", f"{group}a", limit=3)
    assert deleted == 3
    assert cursor is not None
    while cursor is not None:
        more, cursor = lists.delete_keys("statestore", f"{group}a", limit=3, cursor=cursor)
        deleted += more
    assert deleted == 7
    assert lists.keys("statestore", f"{group}a") == ([], None)
    assert lists.get("statestore", f"{group}b")
    assert lists.get("statestore", f"x{group}a")
    assert lists.delete_keys("statestore", f"{group}a") == (0, None)


def test_a_deletion_without_a_prefix_deletes_nothing(lists: ActorApi, key: str) -> None:
    lists.save("statestore", Item(key))
    for prefix, limit in (("", None), (key, 1001)):
        with pytest.raises(Refused) as refused:
            lists.delete_keys("statestore", prefix, limit=limit)
        assert refused.value.kind is Kind.MALFORMED
    with pytest.raises(Refused) as refused:
        lists.delete_keys("none", key)
    assert refused.value.kind is Kind.STORE_MISSING
    assert lists.get("statestore", key)
