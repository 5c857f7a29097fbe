"""PostgreSQL refuses, dies, hangs: every message says what to change, no answered write is lost, no call hangs."""

import asyncio
import random
import re
from functools import partial
from time import monotonic
from typing import Any

import pytest
from servers.eventually import eventually, until
from servers.faulty_proxy import FaultyProxy
from servers.load import Load
from servers.postgresql_server import PostgreSQLServer, locked, running
from servers.processes import free_port
from servers.redis_server import make_certificates

from pannier_sidecar.network import connection_pool
from pannier_sidecar.state.errors import KeyRefusedError, OutcomeUnknownError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Store

LIMIT_S = 30.0


async def faults_of(*calls) -> list[object]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_killed_and_restarted_under_load_it_has_every_answered_write(
    server: PostgreSQLServer, open_store
) -> None:
    store = await open_store(timeout=5.0)
    async with Load(store) as load:
        await load.outlives(server)
    await load.check(store)


async def test_idle_connections_that_a_restart_ended_are_noticed(server: PostgreSQLServer, open_store) -> None:
    store = await open_store()
    await asyncio.gather(*(store.get(Get("k")) for _ in range(20)))
    server.stop()
    await asyncio.to_thread(server.start)
    await store.set(Set("k", b"1", if_absent=True))
    assert await store.get(Get("k")) is not None


async def test_while_it_is_down_calls_fail_at_once_and_name_its_address(server: PostgreSQLServer, open_store) -> None:
    store = await open_store()
    server.stop()
    try:
        calls = (
            store.get(Get("k")),
            store.set(Set("k", b"")),
            store.transact([Set("k", b""), Delete("l")]),
            store.ping(),
        )
        for fault in await faults_of(*calls, store.keys("", 10, None)):
            assert isinstance(fault, StoreUnavailableError)
            assert f"PostgreSQL at {server.address}" in str(fault)
        for faults in (
            await store.bulk_get([Get("k"), Get("l")]),
            await store.bulk_write([Set("k", b""), Delete("k")]),
        ):
            assert [isinstance(fault, StoreUnavailableError) for fault in faults] == [True, True]
    finally:
        await asyncio.to_thread(server.start)
    await eventually(lambda: store.set(Set("k", b"1")))


async def test_a_stopped_server_fails_calls_in_time_and_serves_again_when_continued(
    server: PostgreSQLServer, open_store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_pool, "FRESH_S", LIMIT_S * 10)  # a busy machine may take its time from here on
    store = await opened_in_time(open_store, timeout=1.0)
    await asyncio.gather(*(eventually(partial(store.set, Set(str(number), b"1"))) for number in range(10)))
    server.pause()
    started = monotonic()
    # The first one has a connection.
    calls: list[Any] = [store.set(Set("k", b"2")), store.transact([Set("k", b""), Set("l", b"")])]
    calls += [store.get(Get("k")) for _ in range(20)]
    write, transaction, *reads = await faults_of(*calls)
    assert monotonic() - started < 10
    assert type(write) is OutcomeUnknownError
    assert re.search("did not answer within 1 s.*read the key before writing again", str(write))
    assert type(transaction) is StoreUnavailableError  # it was not asked to commit
    assert all(type(fault) is StoreUnavailableError for fault in reads)
    server.resume()
    await eventually(lambda: store.set(Set("k", b"3")))


async def test_a_write_is_not_sent_to_a_server_that_hangs_since_its_connection_was_used(
    server: PostgreSQLServer, open_store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened_in_time(open_store, timeout=1.0)
    await eventually(lambda: store.set(Set("k", b"1")))
    monkeypatch.setattr(connection_pool, "FRESH_S", 0.0)
    server.pause()
    (fault,) = await faults_of(store.set(Set("k", b"2")))
    assert type(fault) is StoreUnavailableError
    server.resume()
    found = await eventually(lambda: store.get(Get("k")))
    assert found.value == b"1"


async def test_calls_given_up_while_it_hangs_give_their_connections_back(server: PostgreSQLServer, open_store) -> None:
    store = await open_store(maxConns=2)
    await store.ping()
    server.pause()
    calls = [asyncio.create_task(store.get(Get("k"))) for _ in range(10)]
    await asyncio.sleep(0.1)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    server.resume()
    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(*(store.set(Set(str(number), b"1")) for number in range(10)))


async def test_transactions_that_wait_for_each_other_all_happen(open_store) -> None:
    store: Store = await open_store(maxConns=8)
    keys = ["a", "b", "c"]
    for key in keys:
        await store.set(Set(key, b""))
    etags = [getattr(each, "etag", "") for each in await store.bulk_get([Get(key) for key in keys])]
    rounds: list[Any] = [[Set(key, b"1") for key in keys[shift:] + keys[:shift]] for shift in range(3)] * 20
    guarded: list[Any] = [[Delete("x"), Set(key, b"2", etag)] for key, etag in zip(keys, etags, strict=True)]
    ends = await faults_of(*(store.transact(writes) for writes in [*guarded, *rounds]))
    assert ends[3:] == [None] * len(rounds)


SIGNING_IN = (
    ("nobody", "", "refuses this user; write another user"),
    ("keeper", "wrong", "refuses the password; write the right user and password"),
)


@pytest.mark.parametrize(("user", "password", "words"), SIGNING_IN)
async def test_a_user_who_may_not_sign_in_learns_which_fields_to_check(
    server: PostgreSQLServer, open_store, user: str, password: str, words: str
) -> None:
    server.sql("DROP ROLE IF EXISTS keeper; CREATE ROLE keeper LOGIN PASSWORD 'right'")
    server.write("pg_hba.conf", "host all keeper 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n")
    server.stop()
    server.start()
    with pytest.raises(StoreRefusedError, match=words) as caught:
        await open_store(user=user, password=password)
    assert "wrong" not in str(caught.value).replace("wrong password", "")
    good = await open_store(user="keeper", password="right")
    await good.ping()


async def test_a_database_that_is_not_there_is_named(server: PostgreSQLServer, open_store) -> None:
    with pytest.raises(StoreRefusedError, match="has no such database; make it with CREATE DATABASE"):
        await open_store(database="nowhere")


async def test_an_address_without_a_server_is_reported(open_store) -> None:
    with pytest.raises(StoreUnavailableError, match="can't be reached"):
        await open_store(port=free_port())


async def test_a_user_who_may_not_create_tables_gets_the_sql_and_can_use_them_afterwards(
    server: PostgreSQLServer, open_store
) -> None:
    server.sql("DROP ROLE IF EXISTS clerk; CREATE ROLE clerk LOGIN; REVOKE CREATE ON SCHEMA public FROM public")
    with pytest.raises(StoreRefusedError, match="does not let this user make the tables") as caught:
        await open_store("v1", user="clerk")
    found = re.search(r"CREATE TABLE.* TO \.\.\.;", str(caught.value))
    assert found is not None
    server.sql(found[0].replace("TO ...", "TO clerk"))
    store = await open_store("v1", user="clerk", cleanupInterval=0.05)
    await store.set(Set("k", b"1"))
    server.sql("REVOKE ALL ON state FROM clerk")
    with pytest.raises(StoreRefusedError, match="GRANT SELECT, INSERT, UPDATE, DELETE"):
        await store.get(Get("k"))
    server.sql("DROP OWNED BY clerk; DROP ROLE clerk")


async def test_a_table_that_is_dropped_in_use_is_reported_as_missing(server: PostgreSQLServer, open_store) -> None:
    store = await open_store()
    other = await open_store(tablePrefix="other_")
    server.sql("DROP TABLE state")
    with pytest.raises(StoreRefusedError, match="has lost its table; open the store again"):
        await store.get(Get("k"))
    await other.set(Set("k", b"1"))


async def test_a_key_too_long_for_its_index_is_refused_alone(open_store) -> None:
    store = await open_store()
    too_long = random.randbytes(store.max_key_bytes).hex()
    faults = await store.bulk_write([Set("a", b"1"), Set(too_long, b"1"), Set("b", b"1")])
    assert [type(fault) for fault in faults] == [type(None), KeyRefusedError, type(None)]
    with pytest.raises(KeyRefusedError, match="surrogates"):
        await store.set(Set("\ud800", b"1"))


async def test_with_all_connections_taken_by_others_the_error_names_the_limit(open_store, tmp_path) -> None:
    with running(tmp_path, "max_connections=5", "superuser_reserved_connections=3") as server:
        store = await open_store(connectionString=server.url(), maxConns=50)
        server.sql("CREATE ROLE guest LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO guest")
        guest = await opened_in_time(open_store, connectionString=server.url("guest"), maxConns=50)
        async with locked(server):  # the guest's one connection is busy while the others look for another
            calls = [asyncio.create_task(guest.get(Get("k"))) for _ in range(10)]
            await until(lambda: sum(call.done() for call in calls) == 9)
        ends = await faults_of(*calls)
        assert ends.count(None) == 1
        assert sum("raise max_connections there, or lower maxConns" in str(end) for end in ends) == 9
        await store.close()
        await eventually(lambda: guest.get(Get("k")))
        await guest.close()


async def test_idle_connections_are_closed_after_their_time(server: PostgreSQLServer, open_store) -> None:
    store = await open_store(connectionMaxIdleTime=0.1, maxConns=8)
    await asyncio.gather(*(store.get(Get("k")) for _ in range(30)))
    async with asyncio.timeout(LIMIT_S):
        while server.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pannier'") != "0":
            await asyncio.sleep(0.1)
    await store.get(Get("k"))


async def test_it_speaks_tls_and_believes_only_the_authority_it_was_given(open_store, tmp_path) -> None:
    certificates = make_certificates(tmp_path / "certificates")
    others = make_certificates(tmp_path / "others")
    with running(tmp_path / "server") as server:
        for name in ("server.crt", "server.key"):
            server.write(name, certificates.text(name))
        server.write("pg_hba.conf", "hostssl all all 127.0.0.1/32 trust\n")
        server.sql("ALTER SYSTEM SET ssl = on; SELECT pg_reload_conf()")
        encrypted = {"connectionString": f"host=127.0.0.1 port={server.port} user=admin sslmode=verify-full"}
        encrypted["database"] = "postgres"
        store = await opened_in_time(open_store, **encrypted, sslRootCert=certificates.path("ca.crt"))
        await store.set(Set("k", b"1"))
        await store.close()
        with pytest.raises(StoreRefusedError, match="certificate that is not trusted .*sslRootCert"):
            await open_store(**encrypted, sslRootCert=others.path("ca.crt"))
        with pytest.raises(StoreRefusedError, match="is no file that can be read"):
            await open_store(**encrypted, sslRootCert="/nowhere/ca.crt")


async def opened_in_time(open_store, **settings) -> Store:
    """Open a store as soon as the server answers in time, or has noticed its new configuration."""
    return await eventually(lambda: open_store(**settings))


async def test_without_prepared_statements_it_serves_too(open_store) -> None:
    store = await open_store(queryExecMode="exec")
    await store.set(Set("k", b"1"))
    await store.transact([Set("k", b"2"), Set("l", b"2")])
    assert await store.get(Get("l")) is not None


async def test_if_connections_are_accepted_but_not_answered_one_is_tried_at_a_time(
    server: PostgreSQLServer, open_store
) -> None:
    with FaultyProxy(server.port) as proxy:
        settings = {"connectionString": f"postgresql://admin@{proxy.address}/postgres", "timeout": 0.3}
        store = await opened_in_time(open_store, **settings, maxConns=20)
        proxy.hold_requests()
        for _ in range(2):
            await faults_of(*(store.get(Get("k")) for _ in range(50)))
        before = proxy.accepted
        for _ in range(3):
            await faults_of(*(store.get(Get("k")) for _ in range(50)))
        assert proxy.accepted - before <= 4
        proxy.heal()
        await eventually(lambda: store.set(Set("k", b"1")))


async def test_after_a_failure_calls_are_refused_at_once_until_the_server_is_back(
    server: PostgreSQLServer, open_store
) -> None:
    with FaultyProxy(server.port) as proxy:
        store = await open_store(connectionString=f"postgresql://admin@{proxy.address}/postgres", timeout=9.0)
        proxy.hold_requests()
        proxy.cut()
        await faults_of(*(store.get(Get("k")) for _ in range(8)))
        probing = asyncio.create_task(outcome_of(store.get(Get("k"))))
        await asyncio.sleep(1)
        started = monotonic()
        ends = await faults_of(*(store.get(Get("k")) for _ in range(50)))
        assert monotonic() - started < 6, "each waited for the server"
        assert all(type(end) is StoreUnavailableError for end in ends)
        proxy.heal()
        await eventually(lambda: store.get(Get("k")))
        await probing
        proxy.cut()
        assert await asyncio.gather(*(store.get(Get("k")) for _ in range(50))) == [None] * 50


async def outcome_of(call) -> object:
    return (await faults_of(call))[0]
