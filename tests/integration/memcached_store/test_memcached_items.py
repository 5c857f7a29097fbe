"""Dapr's memcached store and ours read and update each other's items."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from servers.eventually import eventually
from servers.memcached_server import MemcachedServer, owner, single
from servers.opened_store import opened

from pannier_sidecar.state.errors import ETagMismatchError, KeyRefusedError, StoreRefusedError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import StoredValue
from pannier_sidecar.stores.memcached.store import MemcachedStore

DAY_S = 24 * 60 * 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemcachedServer]:
    """A server without options: items may have 1 MiB."""
    with single(tmp_path_factory.mktemp("memcached")) as server:
        yield server


@pytest.fixture
async def store(server: MemcachedServer) -> AsyncIterator[MemcachedStore]:
    server.ask(b"flush_all\r\n")
    async with opened(at(server)) as store:
        yield store


def at(*servers: MemcachedServer) -> MemcachedStore:
    return MemcachedStore({"hosts": ", ".join(server.address for server in servers), "timeout": 30.0})


def write_as_dapr(server: MemcachedServer, key: str, value: bytes, exptime: int = 0, flags: int = 0) -> None:
    assert server.ask(b"set %b %d %d %d\r\n%b\r\n" % (key.encode(), flags, exptime, len(value), value)) == b"STORED\r\n"


async def present(store: MemcachedStore, key: str) -> StoredValue:
    found = await store.get(Get(key))
    assert found is not None
    return found


async def test_an_item_that_dapr_wrote_is_read_and_updated(store: MemcachedStore, server: MemcachedServer) -> None:
    write_as_dapr(server, "app||k", b'{"a":1}')
    found = await present(store, "app||k")
    assert (found.value, found.expires_at) == (b'{"a":1}', None)
    await store.set(Set("app||k", b"2", if_match=found.etag))
    assert server.stored("app||k") == b"2"
    write_as_dapr(server, "app||k", b"3")
    with pytest.raises(ETagMismatchError):
        await store.delete(Delete("app||k", (await present(store, "app||k")).etag[:-1]))
    await store.delete(Delete("app||k", (await present(store, "app||k")).etag))
    assert server.stored("app||k") is None


@pytest.mark.parametrize("lifetime", [100, 29 * DAY_S, 40 * DAY_S])
async def test_expiry_is_read_whoever_wrote_it(store: MemcachedStore, server: MemcachedServer, lifetime: int) -> None:
    now = int(time.time())
    write_as_dapr(server, "theirs", b"1", lifetime if lifetime < 30 * DAY_S else now + lifetime)
    await store.set(Set("ours", b"1", ttl=lifetime))
    for key in ("theirs", "ours"):
        expires_at = (await present(store, key)).expires_at
        assert expires_at is not None
        assert abs(expires_at - now - lifetime) < 60
    left = int(server.ask(b"mg ours t\r\n").split(b"t")[1])
    assert abs(left - lifetime) < 60


async def test_flags_of_other_programs_are_not_taken_for_an_expiry(
    store: MemcachedStore, server: MemcachedServer
) -> None:
    write_as_dapr(server, "k", b"1", flags=16)
    assert (await present(store, "k")).expires_at is None
    write_as_dapr(server, "k", b"1", 100, flags=16)
    expires_at = (await present(store, "k")).expires_at
    assert expires_at is not None
    assert abs(expires_at - time.time() - 100) < 60


async def test_several_servers_have_the_keys_that_daprs_client_gives_them(tmp_path: Path) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(single(tmp_path / str(number))) for number in range(3)]
        async with opened(at(*servers)) as store:
            keys = [f"app||ключ-{number}" for number in range(30)]
            assert {owner(servers, key) for key in keys} == set(servers)
            for key in keys:
                await store.set(Set(key, b"1"))
                has = [server.stored(key) is not None for server in servers]
                assert has == [server is owner(servers, key) for server in servers]


async def test_an_etag_from_before_a_restart_matches_nothing_after_it(tmp_path: Path) -> None:
    """CAS numbers start over with each start."""
    with single(tmp_path) as server:
        async with opened(at(server)) as store:
            await store.set(Set("k", b"1"))
            before = (await present(store, "k")).etag
            server.stop()
            time.sleep(1)  # the server reports its start in whole seconds
            server.start()
            await eventually(store.ping)
            await store.set(Set("k", b"2"))
            after = (await present(store, "k")).etag
            assert before != after
            assert before.partition("-")[0] == after.partition("-")[0]
            for write in (Set("k", b"3", if_match=before), Delete("k", if_match=before)):
                with pytest.raises(ETagMismatchError):
                    await (store.set(write) if isinstance(write, Set) else store.delete(write))
            assert server.stored("k") == b"2"


async def test_a_value_larger_than_an_item_may_be_is_refused_and_the_key_keeps_its_own(
    store: MemcachedStore, server: MemcachedServer
) -> None:
    await store.set(Set("k", b"before"))
    for size in (1 << 20, (1 << 20) - 100, 6 << 20):
        with pytest.raises(StoreRefusedError, match=r"too large .* have 1048576; start memcached with a larger -I"):
            await store.set(Set("k", bytes(size)))
        assert server.stored("k") == b"before"
    largest = bytes((1 << 20) - 128 - len("k"))
    await store.set(Set("k", largest))
    assert server.stored("k") == largest


async def test_a_key_with_spaces_that_is_too_long_for_them_is_refused(store: MemcachedStore) -> None:
    await store.set(Set("a " + "k" * 184, b"1"))
    with pytest.raises(
        KeyRefusedError, match="has 187 bytes; with spaces or control characters in it memcached takes 186"
    ):
        await store.set(Set("a " + "k" * 185, b"1"))
    [fault] = await store.bulk_get([Get("a " + "k" * 185)])
    assert isinstance(fault, KeyRefusedError)
