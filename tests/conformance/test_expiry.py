"""A value with a TTL disappears when it expires, and from then on it is as if it had never existed."""

import asyncio
import time

import pytest
from conformance.calls import REFUSED, agree, all_keys, error_of, expiring, present, write_all, written
from conformance.conftest import Keys
from servers.database import Database
from servers.reads import value_of

from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Feature, Store

pytestmark = pytest.mark.topic("TTL", Feature.TTL)

PATIENCE_S = 10
APART_S = 3
"""Maximum time between expiries on servers that count whole seconds by their own clocks: one second, and some for a
clock that ticks late.
"""


async def until_gone(store: Store, key: str, limit_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + limit_s
    while True:
        asked_at = time.monotonic()
        if await store.get(Get(key)) is None:
            return
        assert asked_at < deadline, f"{key} does not expire"
        await asyncio.sleep(0.02)


async def test_the_time_of_expiry_comes_with_the_value(
    subject: Database, store: Store, key: Keys, subtests: pytest.Subtests
) -> None:
    for wanted in (1, 60, 2**31 - 1):
        ttl = min(wanted, subject.longest_ttl or wanted)
        with subtests.test(f"{ttl} s"):
            before = time.time()
            found = await expiring(store, key(str(wanted)), ttl=ttl)
            assert found.expires_at is not None
            assert before + ttl - 1 <= found.expires_at <= time.time() + ttl + 1


async def test_a_later_write_clears_or_replaces_the_expiry(store: Store, key: Keys) -> None:
    names = ("cleared", "cleared with ETag", "longer", "longer in a bulk", "deleted and recreated")
    for name in names:
        await store.set(Set(key(name), b"1", ttl=1))
    while True:  # try again if it has expired before
        before = await expiring(store, key("cleared with ETag"))
        if await error_of(store.set(Set(key("cleared with ETag"), b"2", before.etag))) is None:
            break
    await store.set(Set(key("cleared"), b"2"))
    await store.set(Set(key("longer"), b"2", ttl=1000))
    await write_all(store, [Set(key("longer in a bulk"), b"2", ttl=1000)])
    await store.delete(Delete(key("deleted and recreated")))
    await store.set(Set(key("deleted and recreated"), b"2"))
    await store.set(Set(key("shorter"), b"1", ttl=1000))
    await store.set(Set(key("shorter"), b"2", ttl=1))
    await until_gone(store, key("shorter"))
    for name in names:
        found = await present(store, key(name))
        assert found.value == b"2"
        assert (found.expires_at is not None) is name.startswith("longer")


async def test_a_key_expires_at_its_time_and_then_counts_as_absent(store: Store, key: Keys, prefix: str) -> None:
    names = ["set", "created", "deleted", "deleted if absent", "in a transaction", "bulk"]
    begun_at = time.monotonic()
    for name in names:
        await store.set(Set(key(name), b"old", ttl=1))
    etags = {
        name: (await expiring(store, key(name), b"old")).etag
        for name in ("matched", "deleted with ETag", "deleted in a transaction")
    }
    await written(store, key("stays"), b"old")
    await until_gone(store, key(names[0]))
    assert time.monotonic() - begun_at > 0.9
    names += etags
    await until_gone(store, key(names[-1]))
    await asyncio.gather(*(until_gone(store, key(name), APART_S) for name in names))

    found = await store.bulk_get([Get(key(name)) for name in [*names, "stays"]])
    assert [entry and entry.value for entry in found] == [None] * len(names) + [b"old"]
    if Feature.KEYS_LIKE in store.features:
        assert await all_keys(store, prefix) == [key("stays")]
    await store.set(Set(key("set"), b"new"))
    await store.set(Set(key("created"), b"new", if_absent=True))
    assert isinstance(await error_of(store.set(Set(key("matched"), b"new", etags["matched"]))), REFUSED)
    await store.delete(Delete(key("deleted")))
    assert isinstance(
        await error_of(store.delete(Delete(key("deleted with ETag"), etags["deleted with ETag"]))), REFUSED
    )
    await store.delete(Delete(key("deleted if absent"), if_absent=True))
    assert list(await store.bulk_write([Set(key("bulk"), b"new", if_absent=True)])) == [None]
    if Feature.TRANSACTIONAL in store.features:
        await store.transact([Set(key("in a transaction"), b"new", if_absent=True)])
        delete = Delete(key("deleted in a transaction"), etags["deleted in a transaction"])
        assert isinstance(await error_of(store.transact([delete])), REFUSED)
    assert [await value_of(store, key(name)) for name in ("set", "created", "bulk")] == [b"new"] * 3
    assert [await value_of(store, key(name)) for name in ("matched", "deleted", "deleted with ETag")] == [None] * 3
    assert (await present(store, key("created"))).expires_at is None


async def test_a_refused_write_leaves_the_expiry(store: Store, key: Keys) -> None:
    await store.set(Set(key("k"), b"1", ttl=1000))
    before = await present(store, key("k"))
    assert isinstance(await error_of(store.set(Set(key("k"), b"2", if_absent=True))), REFUSED)
    assert isinstance(await error_of(store.set(Set(key("k"), b"2", "1", ttl=5))), REFUSED)
    assert before.expires_at is not None
    assert agree(await present(store, key("k")), before)
