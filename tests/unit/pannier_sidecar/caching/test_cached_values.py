"""Which values a cache keeps, which it forgets, and how much memory it takes."""

import gc
import tracemalloc
from time import monotonic, time

import pytest

from pannier_sidecar.state.cached_values import CachedValues
from pannier_sidecar.state.feeds import UNREAD
from pannier_sidecar.state.store import StoredValue

OLD, NEW = StoredValue(b"old", "1"), StoredValue(b"new", "2")


@pytest.fixture
def cached() -> CachedValues:
    return proven(CachedValues(2**20, 60))


def proven(cached: CachedValues) -> CachedValues:
    cached.prove(monotonic(), 60)
    return cached


def keep(cached: CachedValues, key: str, found: StoredValue | None) -> None:
    """Read a key, alone."""
    cached.end_read(key, cached.begin_read(key), found, may_keep=True)


def test_what_was_read_is_served(cached: CachedValues) -> None:
    keep(cached, "a", NEW)
    keep(cached, "absent", None)
    assert cached.get("a") is NEW
    assert cached.get("absent") is None
    assert (cached.counts.hits, cached.counts.misses, cached.counts.keys) == (1, 1, 1)


def test_nothing_is_served_without_proof(cached: CachedValues) -> None:
    unproven = CachedValues(2**20, 60)
    keep(unproven, "a", NEW)
    assert unproven.get("a") is None
    keep(cached, "a", NEW)
    cached.prove(monotonic() - 10, 5)
    assert cached.get("a") is None
    proven(cached)
    assert cached.get("a") is None, "what was late is not served later"
    assert cached.counts.resets == 1


@pytest.mark.parametrize("what", ["invalidated", "changed", "gone", "unread", "reset"])
def test_what_was_read_before_a_change_is_not_kept(cached: CachedValues, what: str) -> None:
    number = cached.begin_read("a")
    if what == "invalidated":
        cached.invalidate("a")
    elif what == "reset":
        cached.reset()
        proven(cached)
    else:
        cached.take_change("a", {"changed": "2", "gone": None, "unread": UNREAD}[what])
    cached.end_read("a", number, OLD, may_keep=True)
    assert cached.get("a") is None
    keep(cached, "a", NEW)
    assert cached.get("a") is NEW


@pytest.mark.parametrize("what", ["invalidated", "changed", "gone", "unread", "reset"])
def test_what_is_kept_is_forgotten_by_a_change(cached: CachedValues, what: str) -> None:
    keep(cached, "a", OLD)
    if what == "invalidated":
        cached.invalidate("a")
    elif what == "reset":
        cached.reset()
        proven(cached)
    else:
        cached.take_change("a", {"changed": "2", "gone": None, "unread": UNREAD}[what])
    assert cached.get("a") is None


def test_a_change_to_what_is_kept_forgets_nothing(cached: CachedValues) -> None:
    keep(cached, "a", NEW)
    cached.take_change("a", "2")
    assert cached.get("a") is NEW


def test_concurrent_reads_of_the_same_are_kept(cached: CachedValues) -> None:
    numbers = [cached.begin_read("a") for _ in range(16)]
    for number in numbers:
        cached.end_read("a", number, NEW, may_keep=True)
    assert cached.get("a") is NEW


@pytest.mark.parametrize("first", [NEW, None], ids=["present", "absent"])
def test_a_read_that_contradicts_another_is_not_kept(cached: CachedValues, first: StoredValue | None) -> None:
    slow, quick = cached.begin_read("a"), cached.begin_read("a")
    cached.end_read("a", quick, first, may_keep=True)
    cached.end_read("a", slow, OLD, may_keep=True)
    assert cached.get("a") is None


@pytest.mark.parametrize("how", ["strong reads", "room", "age"])
def test_what_was_returned_and_is_kept_no_more_is_not_undone(how: str) -> None:
    cached = proven(CachedValues(4000 if how == "room" else 2**20, 0.001 if how == "age" else 60))
    slow, quick = cached.begin_read("a"), cached.begin_read("a")
    cached.end_read("a", quick, NEW, may_keep=how != "strong reads")
    if how == "room":
        for number in range(100):
            keep(cached, str(number), NEW)
    elif how == "age":
        while cached.get("a") is not None:
            pass
    cached.end_read("a", slow, OLD, may_keep=True)
    assert cached.get("a") is None


def test_a_failed_read_leaves_nothing_behind(cached: CachedValues) -> None:
    for _ in range(3):
        cached.begin_read("a")
        cached.fail_read("a")
    assert not cached._reads
    keep(cached, "a", NEW)
    assert cached.get("a") is NEW


def test_a_value_is_served_until_shortly_before_it_expires(cached: CachedValues) -> None:
    now = int(time())
    keep(cached, "soon", StoredValue(b"1", "1", now + 1))
    keep(cached, "past", StoredValue(b"1", "1", now - 5))
    keep(cached, "later", StoredValue(b"1", "1", now + 1000))
    assert cached.get("soon") is None
    assert cached.get("past") is None
    assert cached.get("later") is not None


def test_what_has_no_etag_or_is_too_large_is_not_kept(cached: CachedValues) -> None:
    keep(cached, "a", StoredValue(b"1", ""))
    keep(cached, "b", StoredValue(bytes(2**18), "1"))
    assert cached.counts.keys == 0


def test_the_least_recently_used_goes_first() -> None:
    cached = proven(CachedValues(64 * 1024, 60))
    for number in range(2000):
        keep(cached, f"key {number}", StoredValue(b"x" * 50, str(number)))
        cached.get("key 0")
    assert cached.get("key 0") is not None
    assert cached.get("key 1") is None
    assert cached.get("key 1999") is not None
    assert cached.counts.evictions > 1000


@pytest.mark.parametrize("size", [10, 300, 5000])
def test_it_takes_as_much_memory_as_it_may(size: int) -> None:
    limit = 4 * 2**20
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        cached = proven(CachedValues(limit, 60))
        for number in range(2 * limit // (size + 200)):
            now = round(time())
            keep(cached, f"app||key {number}", StoredValue(bytes(size), f"etag {number}", now + 1000 + number))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.9 * limit < after - before < 1.1 * limit
    assert cached.counts.size <= limit
