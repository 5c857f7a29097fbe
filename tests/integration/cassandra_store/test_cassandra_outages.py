"""Cassandra is unreachable, hangs or refuses the client: calls end in time and say what to do."""

import asyncio
import threading
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from servers.cassandra_server import CassandraServer
from servers.eventually import eventually, until
from servers.load import Load
from servers.opened_store import opened
from servers.processes import free_port
from servers.redis_server import make_certificates

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.cassandra import store as store_module
from pannier_sidecar.stores.cassandra.store import CassandraStore

SCHEMA = (
    "CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}",
    "CREATE TABLE {keyspace}.items (key text PRIMARY KEY, value blob)",
    "CREATE ROLE {keyspace} WITH LOGIN = true AND PASSWORD = 'p'",
)


def as_administrator(server: CassandraServer, *statements: str) -> None:
    for statement in statements:
        server.run(statement)


async def test_a_paused_server_fails_calls_in_time_and_serves_again(server: CassandraServer, keyspace: str) -> None:
    async with opened(CassandraStore(server.settings(keyspace))) as patient:
        await patient.set(Set("k", b"1"))
    async with opened(CassandraStore({**server.settings(keyspace), "timeout": 2.0})) as store:
        found = await eventually(lambda: store.get(Get("k")))
        server.pause()
        try:
            started = monotonic()
            reads = [store.get(Get("k")), store.get(Get("k", strong=True)), store.keys("", 10, None)]
            writes: list[Any] = [
                store.set(Set("k", b"2", found.etag)),
                store.set(Set("l", b"1")),
                store.delete(Delete("m")),
            ]
            read = await asyncio.gather(*reads, return_exceptions=True)
            written = await asyncio.gather(*writes, return_exceptions=True)
            assert monotonic() - started < 20
        finally:
            server.resume()
        for fault in read:
            assert type(fault) is StoreUnavailableError
            assert "did not answer within 2 s" in str(fault)
        for fault in written:
            assert type(fault) is OutcomeUnknownError
            assert "read the key before writing again" in str(fault)
        await eventually(lambda: store.set(Set("k", b"3")))


async def test_large_writes_wait_for_a_server_that_does_not_keep_up(server: CassandraServer, keyspace: str) -> None:
    async with opened(CassandraStore({**server.settings(keyspace), "timeout": 60.0})) as store:
        await store.ping()
        server.pause()
        try:
            calls = [asyncio.create_task(store.set(Set(f"large{number}", bytes(1 << 20)))) for number in range(12)]
            await asyncio.sleep(1)  # the socket is full by then
            calls += [asyncio.create_task(store.set(Set(f"small{number}", b"1"))) for number in range(3)]
            await asyncio.sleep(0.1)
            assert not any(call.done() for call in calls)
        finally:
            server.resume()
        await asyncio.gather(*calls)


async def test_calls_that_are_too_many_wait_for_a_place_but_not_for_ever(
    server: CassandraServer, keyspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**server.settings(keyspace), "timeout": 5.0}
    monkeypatch.setattr(store_module, "MAX_IN_FLIGHT", 2)
    async with opened(CassandraStore(settings)) as store:
        await asyncio.gather(*(store.set(Set(f"k{number}", b"1")) for number in range(20)))
    monkeypatch.setattr(store_module, "MAX_IN_FLIGHT", 0)
    async with opened(CassandraStore({**settings, "timeout": 1.0})) as store:
        for call in (store.get(Get("k1")), store.set(Set("k1", b"2"))):
            with pytest.raises(StoreUnavailableError, match="has more calls waiting than it can take; try again later"):
                await call


async def test_a_paused_server_is_not_waited_for_when_opening(server: CassandraServer, keyspace: str) -> None:
    server.pause()
    try:
        store = CassandraStore(server.settings(keyspace))
        with pytest.raises(StoreUnavailableError, match="can't be reached: .*Timed out"):
            await store.open()
        await store.close()
    finally:
        server.resume()


async def test_a_host_without_an_address_is_named() -> None:
    store = CassandraStore({"hosts": "nowhere.invalid"})
    with pytest.raises(
        StoreUnavailableError, match=r"Cassandra at nowhere.invalid:9042 .*: no host has an address; check hosts"
    ):
        await store.open()
    await store.close()


@pytest.mark.parametrize(("consistency", "fault"), [("All", StoreUnavailableError), ("Quorum", OutcomeUnknownError)])
async def test_too_few_replicas_are_reported(
    server: CassandraServer, keyspace: str, consistency: str, fault: type[StoreError]
) -> None:
    """Cassandra says which quorum it lacks: the one that decides, or the one that is asked to acknowledge."""
    settings = {**server.settings(keyspace), "replicationFactor": 3, "consistency": consistency}
    async with opened(CassandraStore(settings)) as store:
        with pytest.raises(StoreError, match="has too few replicas for this consistency: 2 are asked for") as raised:
            await store.set(Set("k", b"1"))
        assert type(raised.value) is fault
        with pytest.raises(StoreUnavailableError, match="has too few replicas for this consistency"):
            await store.get(Get("k"))


async def test_a_cancelled_opening_leaves_nothing_behind(server: CassandraServer, keyspace: str) -> None:
    before = threading.active_count()
    store = CassandraStore(server.settings(keyspace))
    opening = asyncio.create_task(store.open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await store.close()
    with pytest.raises(StoreUnavailableError, match="not open, or closed"):
        await store.get(Get("k"))
    await until(lambda: threading.active_count() <= before + 2)  # asyncio's for what blocks, the driver's for all


async def test_opening_without_a_listener_names_the_address() -> None:
    port = free_port()
    for _ in range(3):
        store = CassandraStore({"hosts": f"127.0.0.1:{port}"})
        with pytest.raises(StoreUnavailableError, match=f"Cassandra at 127.0.0.1:{port} can't be reached"):
            await store.open()
        await store.close()


@pytest.mark.timeout(240)
async def test_a_user_without_the_right_learns_what_an_administrator_must_run(
    secured: CassandraServer, keyspace: str
) -> None:
    as_administrator(secured, *(statement.format(keyspace=keyspace) for statement in SCHEMA))
    settings = {**secured.settings(keyspace), "username": keyspace, "password": "p"}
    for changed, advice in (
        ({"password": "wrong"}, "check username and password"),
        ({}, f"have an administrator run: ALTER TABLE {keyspace}.items ADD etag text;"),
        ({"table": "others"}, f"have an administrator run: CREATE TABLE IF NOT EXISTS {keyspace}.others .key text,"),
    ):
        store = CassandraStore({**settings, **changed})
        with pytest.raises(StoreRefusedError, match=advice):
            await store.open()
        await store.close()
    as_administrator(
        secured, f"ALTER TABLE {keyspace}.items ADD etag text", f"GRANT SELECT ON {keyspace}.items TO {keyspace}"
    )
    store = CassandraStore(settings)
    await eventually(store.open)  # permissions are looked up again after a while
    with pytest.raises(StoreRefusedError, match=f"GRANT MODIFY ON {keyspace}.items TO"):
        await store.set(Set("k", b"1"))
    as_administrator(secured, f"GRANT MODIFY ON {keyspace}.items TO {keyspace}")
    await eventually(lambda: store.set(Set("k", b"1")))
    await store.close()


@pytest.mark.timeout(300)
async def test_killed_and_restarted_under_load_it_has_every_answered_write(
    secured: CassandraServer, keyspace: str
) -> None:
    async with opened(CassandraStore({**secured.settings(keyspace), "timeout": 5.0})) as store:
        async with Load(store) as load:
            reached = load.done
            await until(lambda: load.done > reached + 50, 60)
            secured.kill()
            await asyncio.to_thread(secured.start)
            reached = load.done
            await until(lambda: load.done > reached + 50, 60)
        await load.check(store)


@pytest.mark.timeout(240)
async def test_over_tls_both_sides_know_each_other(secured: CassandraServer, keyspace: str, tmp_path: Path) -> None:
    known, stranger = secured.certificates, make_certificates(tmp_path)
    settings = {
        **secured.settings(keyspace),
        "enableHostVerification": True,
        "caCert": known.text("ca.crt"),
        "clientCert": known.text("client.crt"),
        "clientKey": known.text("client.key"),
    }
    async with opened(CassandraStore(settings)) as store:
        await store.set(Set("k", b"1"))
        found = await store.get(Get("k"))
        assert found is not None
        assert found.value == b"1"
    for changed, advice in (
        ({"caCert": stranger.text("ca.crt")}, "its certificate is not accepted; check caCert, clientCert"),
        ({"caCert": "none"}, "caCert cannot be used: .*; write PEM text"),
        ({"clientKey": stranger.text("client.key")}, "clientCert and clientKey cannot be used: .*belong together"),
    ):
        store = CassandraStore({**settings, **changed})
        with pytest.raises(StoreRefusedError, match=advice):
            await store.open()
        await store.close()
