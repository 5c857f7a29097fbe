"""Dapr's Redis store and ours read and update each other's hashes."""

import hashlib
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from redis import Redis
from servers.opened_redis import opened
from servers.redis_server import RedisServer, single

from pannier_sidecar.state.errors import ETagMismatchError, InvalidCursorError, InvalidETagError, StoreRefusedError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.redis.store import RedisStore


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with single(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def outside(server: RedisServer) -> Iterator[Redis]:
    """Another client, which writes as Dapr does and looks at the stored form."""
    with server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisStore]:
    async with opened(server.settings) as store:
        yield store


async def test_a_hash_that_dapr_wrote_is_read(store: RedisStore, outside: Redis) -> None:
    outside.hset("app||k", mapping={"data": '{"a":1}', "version": 7})
    found = await store.get(Get("app||k"))
    assert found is not None
    assert (found.value, found.etag, found.expires_at) == (b'{"a":1}', "7", None)


async def test_its_expiry_comes_back(store: RedisStore, outside: Redis) -> None:
    outside.hset("k", mapping={"data": "1", "version": 1})
    outside.expire("k", 100)
    found = await store.get(Get("k"))
    assert found is not None
    assert found.expires_at is not None
    assert abs(found.expires_at - time.time() - 100) < 60


async def test_a_write_adds_one_to_its_version_and_leaves_first_write_alone(store: RedisStore, outside: Redis) -> None:
    outside.hset("k", mapping={"data": "1", "version": 7, "first-write": 0})
    await store.set(Set("k", b"2", if_match="7"))
    await store.set(Set("k", b"3"))
    assert outside.hgetall("k") == {b"data": b"3", b"version": b"9", b"first-write": b"0"}


@pytest.mark.parametrize("way", ["alone", "with TTL", "in a transaction", "after a plain write"])
async def test_a_first_write_is_marked_for_dapr(store: RedisStore, outside: Redis, way: str) -> None:
    """Without such a field, Dapr overwrites the value without an ETag, even if it should only create."""
    write = Set("k", b"1", if_absent=True, ttl=100 if way == "with TTL" else None, is_first_write=True)
    if way == "in a transaction":
        await store.transact([write, Set("plain", b"2")])
        assert outside.hget("plain", "first-write") is None
    elif way == "after a plain write":
        await store.set(Set("k", b"0"))
        assert outside.hget("k", "first-write") is None
        found = await store.get(Get("k"))
        assert found is not None
        await store.set(Set("k", b"1", if_match=found.etag, is_first_write=True))
    else:
        await store.set(write)
    assert outside.hget("k", "first-write") == b"0"
    assert outside.hget("k", "data") == b"1"
    assert (outside.ttl("k") > 0) is (way == "with TTL")
    await store.set(Set("k", b"3"))
    assert outside.hget("k", "first-write") == b"0", "it stays until the key is deleted, as with Dapr"
    await store.delete(Delete("k"))
    await store.set(Set("k", b"4"))
    assert outside.hget("k", "first-write") is None


async def test_dapr_finds_a_hash_with_data_and_an_integer_version(store: RedisStore, outside: Redis) -> None:
    await store.set(Set("k", b'{"x": 1.10}', ttl=50))
    stored = outside.hgetall("k")
    assert set(stored) == {b"data", b"version"}
    assert stored[b"data"] == b'{"x": 1.10}'
    assert 0 < int(stored[b"version"]) < 2**53
    assert 40 < outside.ttl("k") <= 50
    outside.hincrby("k", "version", 1)  # what Dapr's own script does
    found = await store.get(Get("k"))
    assert found is not None
    assert int(found.etag) == int(stored[b"version"]) + 1


async def test_a_write_without_expiry_clears_one(store: RedisStore, outside: Redis) -> None:
    outside.hset("k", mapping={"data": "1", "version": 1})
    outside.expire("k", 100)
    await store.set(Set("k", b"2"))
    assert outside.ttl("k") == -1


async def test_an_etag_never_comes_back_after_a_delete(store: RedisStore) -> None:
    seen = set()
    for _ in range(50):
        await store.set(Set("k", b"1"))
        found = await store.get(Get("k"))
        assert found is not None
        seen.add(found.etag)
        await store.delete(Delete("k"))
    assert len(seen) == 50


async def test_a_hash_of_something_else_is_refused(
    store: RedisStore, outside: Redis, subtests: pytest.Subtests
) -> None:
    for field in ("data", "version", "other"):
        with subtests.test(field):
            outside.delete("k")
            outside.hset("k", field, "1")
            with pytest.raises(StoreRefusedError, match="required hash field 'data' or 'version' was not found"):
                await store.get(Get("k"))


async def test_a_foreign_hash_does_not_count_as_absent_but_a_plain_write_overwrites_it(
    store: RedisStore, outside: Redis
) -> None:
    outside.hset("k", mapping={"other": "1"})
    with pytest.raises(ETagMismatchError):
        await store.set(Set("k", b"1", if_absent=True))
    with pytest.raises(ETagMismatchError):
        await store.set(Set("k", b"1", if_match="1"))
    await store.set(Set("k", b"1"))
    found = await store.get(Get("k"))
    assert found is not None
    assert found.value == b"1"


async def test_a_version_that_is_no_number_is_replaced(store: RedisStore, outside: Redis) -> None:
    for version in ("", "x", str(2**63 - 1)):
        outside.hset("k", mapping={"data": "1", "version": version})
        await store.set(Set("k", b"2"))
        found = await store.get(Get("k"))
        assert found is not None
        assert (found.value, int(found.etag) < 2**53) == (b"2", True)


async def test_a_plain_string_of_an_old_version_is_read_and_guarded_by_its_etag(
    store: RedisStore, outside: Redis
) -> None:
    outside.set("k", "old", ex=100)
    found = await store.get(Get("k"))
    assert found is not None
    assert found.value == b"old"
    assert found.etag == "sha1-" + hashlib.sha1(b"old").hexdigest()
    assert found.expires_at is not None
    outside.set("k", "newer")
    with pytest.raises(ETagMismatchError):
        await store.set(Set("k", b"mine", if_match=found.etag))
    with pytest.raises(ETagMismatchError):
        await store.delete(Delete("k", if_match=found.etag))
    outside.set("k", "old")
    await store.set(Set("k", b"mine", if_match=found.etag))
    assert outside.hget("k", "data") == b"mine"


async def test_another_type_is_refused_by_name_and_overwritten(
    store: RedisStore, outside: Redis, subtests: pytest.Subtests
) -> None:
    for kind in ["list", "set", "zset", "stream"]:
        with subtests.test(kind):
            outside.delete("k")
            make = {
                "list": lambda: outside.rpush("k", "1"),
                "set": lambda: outside.sadd("k", "1"),
                "zset": lambda: outside.zadd("k", {"1": 1}),
                "stream": lambda: outside.xadd("k", {"1": 1}),
            }
            make[kind]()
            with pytest.raises(StoreRefusedError, match=f"holds a {kind}, not state"):
                await store.get(Get("k"))
            with pytest.raises(ETagMismatchError):
                await store.set(Set("k", b"1", if_absent=True))
            with pytest.raises(ETagMismatchError):
                await store.delete(Delete("k", if_match="1"))
            await store.set(Set("k", b"1"))
            assert outside.hget("k", "data") == b"1"


async def test_in_a_bulk_read_each_key_keeps_its_place(store: RedisStore, outside: Redis) -> None:
    await store.set(Set("state", b"1"))
    outside.set("text", "2")
    outside.rpush("list", "3")
    state, text, refused, absent = await store.bulk_get([Get(key) for key in ("state", "text", "list", "absent")])
    assert getattr(state, "value", None) == b"1"
    assert getattr(text, "value", None) == b"2"
    assert isinstance(refused, StoreRefusedError)
    assert absent is None


async def test_a_transaction_turns_strings_into_hashes_too(store: RedisStore, outside: Redis) -> None:
    outside.set("a", "1")
    outside.rpush("b", "1")
    etag = "sha1-" + hashlib.sha1(b"1").hexdigest()
    await store.transact([Set("a", b"2", if_match=etag), Set("b", b"2"), Delete("b"), Set("b", b"3")])
    assert (outside.hget("a", "data"), outside.hget("b", "data")) == (b"2", b"3")


async def test_an_invalid_etag_is_reported_as_such(store: RedisStore, subtests: pytest.Subtests) -> None:
    for etag in ["x", "1.0", "", " 1", "٣", "sha1-", "*", "1\n"]:
        with subtests.test(repr(etag)):
            with pytest.raises(InvalidETagError, match="invalid etag value"):
                await store.set(Set("k", b"1", if_match=etag))


async def test_a_list_has_every_key_whatever_happens_between_pages(store: RedisStore, outside: Redis) -> None:
    names = {f"p*[{n}" for n in range(2000)}
    await store.bulk_write([Set(name, b"1") for name in sorted(names)])
    outside.set("p1", "another prefix")
    outside.set(b"p*[\xff", "no text")
    met: list[str] = []
    cursor = None
    for page in range(10**6):
        found = await store.keys("p*[", 7, cursor)
        assert len(found.keys) <= 7
        met += found.keys
        cursor = found.cursor
        if cursor is None:
            break
        if page % 40 == 0:  # the table grows and shrinks, and listed keys disappear
            outside.mset({f"other{page}-{n}": 1 for n in range(1500)})
        if page % 40 == 20:
            outside.delete(*[f"other{page - 20}-{n}" for n in range(1500)], *met[-3:])
    assert set(met) == names


async def test_a_page_survives_a_restart_of_the_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    with single(tmp_path_factory.mktemp("redis"), "--appendonly", "yes") as server:
        async with opened(server.settings) as store:
            names = {f"k{n}" for n in range(300)}
            await store.bulk_write([Set(name, b"1") for name in names])
            page = await store.keys("k", 150, None)
            met = set(page.keys)
            server.stop()
            server.start()
            while page.cursor:
                page = await store.keys("k", 150, page.cursor)
                met |= set(page.keys)
            assert met == names


async def test_a_foreign_cursor_is_refused(store: RedisStore, subtests: pytest.Subtests) -> None:
    cases: list[str] = ["", "x", "MA", "W10", "WzEsMl0", "ÿ", "WzE4NDQ2NzQ0MDczNzA5NTUxNjE2XQ"]
    for cursor in cases:
        with subtests.test(repr(cursor)):
            with pytest.raises(InvalidCursorError, match="leave it out to start from the beginning"):
                await store.keys("", 10, cursor)
