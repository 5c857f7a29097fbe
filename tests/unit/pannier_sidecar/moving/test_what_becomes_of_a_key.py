"""The decision on one key, from what the target has and what an earlier run wrote."""

import pytest

from pannier_sidecar.moving.deciding import Decision, Target, Verdict, Written, decide, digest_of, next_size, ttl_of
from pannier_sidecar.moving.items import AppKey, Item
from pannier_sidecar.state.store import StoredValue

NOW = 1_000_000.0
ANYTHING = Target(max_key_bytes=100)


def item(value: bytes = b"new", expires_at: int | None = None) -> Item:
    return Item(AppKey("k"), value, expires_at)


def there(value: bytes, expires_at: int | None = None) -> StoredValue:
    return StoredValue(value, "7", expires_at)


def written(value: bytes, expires_at: int | None = None) -> list[Written]:
    return [Written(digest_of(value), expires_at)]


def decided(
    what: Item, found: StoredValue | None, *, earlier: list[Written] | None = None, target: Target = ANYTHING
) -> Decision:
    return decide(what, "app||k", found, earlier or [], target, NOW)


def test_absent_keys_are_created() -> None:
    assert decided(item(), None).verdict is Verdict.CREATE


def test_equal_values_are_left_alone() -> None:
    assert decided(item(), there(b"new")).verdict is Verdict.SAME


def test_another_value_is_kept_and_reported() -> None:
    decision = decided(item(), there(b"newer"))
    assert (decision.verdict, decision.why) == (Verdict.LEAVE, "the target has another value, of 5 bytes")


def test_a_value_of_an_earlier_run_is_updated_if_it_is_unchanged() -> None:
    assert decided(item(), there(b"old"), earlier=written(b"old")) == Decision(Verdict.UPDATE, if_match="7")
    assert decided(item(), there(b"newer"), earlier=written(b"old")).verdict is Verdict.LEAVE


def test_the_same_value_with_another_expiry_is_another_value() -> None:
    assert decided(item(), there(b"new", 2_000_000)).verdict is Verdict.LEAVE
    assert decided(item(expires_at=2_000_000), there(b"new", 1_000_500)).why == (
        "the target has the same value, which expires at another time"
    )
    assert decided(item(), there(b"old", 2_000_000), earlier=written(b"old")).verdict is Verdict.LEAVE


def test_expiries_that_differ_only_by_rounding_are_the_same() -> None:
    assert decided(item(expires_at=2_000_000), there(b"new", 2_000_002)).verdict is Verdict.SAME


def test_overwriting_is_guarded_by_the_etag_if_the_store_has_etags() -> None:
    assert decided(item(), there(b"x"), target=Target(100, overwrites=True)).if_match == "7"
    without = Target(100, has_etags=False, overwrites=True)
    assert decided(item(), there(b"x"), target=without) == Decision(Verdict.OVERWRITE)


def test_expired_values_are_not_copied_whatever_the_target_has() -> None:
    assert decided(item(expires_at=1_000_000), there(b"old"), target=Target(100, overwrites=True)) == Decision(
        Verdict.EXPIRED
    )


def test_an_item_that_the_target_cannot_hold_fails_with_the_reason() -> None:
    assert decided(item(), None, target=Target(5)).why == (
        "the key is 6 bytes long with its prefix, and the target takes 5"
    )
    assert decided(item(expires_at=2_000_000), None, target=Target(100, has_expiry=False)).why == (
        "it expires, and the target can't let keys expire"
    )


@pytest.mark.parametrize(("expires_at", "left"), [(None, None), (1_000_010, 10), (1_000_000, 1)])
def test_the_remaining_time_to_live_is_at_least_a_second(expires_at: int | None, left: int | None) -> None:
    assert ttl_of(item(expires_at=expires_at), NOW) == left


def test_large_values_are_taken_few_at_a_time() -> None:
    assert next_size(20, 0, 200, 1000) == 40
    assert next_size(200, 100, 200, 1000) == 200
    assert next_size(20, 2000, 200, 1000) == 10
    assert next_size(1, 5000, 200, 1000) == 1
