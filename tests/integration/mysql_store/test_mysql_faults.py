"""MySQL refuses, dies, hangs: every message says what to change, no answered write is lost, no call hangs."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import pytest
from servers.eventually import eventually, until
from servers.faulty_proxy import FaultyProxy
from servers.load import Load
from servers.lost_answers import answer_held, lost, outcome
from servers.mysql_server import SCHEMA, MySQLServer, running
from servers.opened_store import opening
from servers.processes import free_port
from servers.redis_server import make_certificates

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set

LIMIT_S = 60.0


async def test_killed_and_restarted_under_load_it_has_every_answered_write(server: MySQLServer, open_store) -> None:
    store = await open_store(timeout=5.0)
    async with Load(store) as load:
        await load.outlives(server)
    await load.check(store)


async def test_while_it_is_down_calls_fail_at_once_and_name_its_address(server: MySQLServer, open_store) -> None:
    store = await open_store()
    server.stop()
    try:
        calls = (store.get(Get("k")), store.set(Set("k", b"")), store.transact([Set("k", b""), Delete("l")]))
        for fault in await asyncio.gather(*calls, store.ping(), store.keys("", 10, None), return_exceptions=True):
            assert isinstance(fault, StoreUnavailableError)
            assert f"MySQL at {server.address}" in str(fault)
        for faults in (await store.bulk_get([Get("k")]), await store.bulk_write([Set("k", b""), Delete("k")])):
            assert all(isinstance(fault, StoreUnavailableError) for fault in faults)
    finally:
        await asyncio.to_thread(server.start)
    await eventually(lambda: store.set(Set("k", b"1")))


async def test_calls_given_up_while_a_row_is_locked_end_and_give_their_connections_back(
    server: MySQLServer, open_store
) -> None:
    store = await open_store(maxConns=2, timeout=2.0)
    await store.set(Set("k", b"1"))
    with server.connected(SCHEMA) as other, other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM state FOR UPDATE")
        started = monotonic()
        writes = [Set("k", b"2"), Set("k", b"3"), Set("k", b"4")]
        faults = await asyncio.gather(*map(store.set, writes), return_exceptions=True)
        assert monotonic() - started < LIMIT_S
        assert all(isinstance(fault, OutcomeUnknownError | StoreUnavailableError) for fault in faults)
        count = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'INSERT%'"
        assert server.sql(count)[0][0] <= 2
        # Of a transaction that is given up between its statements, nothing is left.
        task = asyncio.create_task(store.transact([Set("new", b"1"), Set("k", b"5")]))
        await asyncio.sleep(0.1)
        task.cancel()
        cursor.execute("ROLLBACK")
    async with asyncio.timeout(LIMIT_S):
        for number in range(4):
            await eventually(lambda number=number: store.set(Set(str(number), b"1")))
    await until(lambda: server.sql("SELECT COUNT(*) FROM information_schema.INNODB_TRX")[0][0] == 0)


async def test_a_stopped_server_fails_calls_in_time_and_serves_again_when_continued(
    server: MySQLServer, open_store
) -> None:
    store = await open_store(timeout=1.0, maxConns=2)
    await store.set(Set("k", b"1"))
    server.pause()
    started = monotonic()
    write, *reads = await asyncio.gather(
        store.set(Set("k", b"2")), *(store.get(Get("k")) for _ in range(10)), return_exceptions=True
    )
    assert monotonic() - started < LIMIT_S / 2
    assert isinstance(write, OutcomeUnknownError | StoreUnavailableError)
    assert all(type(fault) is StoreUnavailableError for fault in reads)
    server.resume()
    await eventually(lambda: store.set(Set("k", b"3")))


async def test_a_write_whose_answer_was_lost_is_unknown_and_not_repeated(server: MySQLServer, open_store) -> None:
    with FaultyProxy(server.port) as proxy:
        far = await open_store(connectionString=f"root@tcp({proxy.address})/", maxConns=1)
        await far.set(Set("k", b"0"))
        calls: tuple[Callable[[], Awaitable[Any]], ...] = (
            lambda: far.set(Set("k", b"mine")),
            lambda: far.delete(Delete("k")),
            lambda: far.bulk_write([Set("k", b"mine"), Set("l", b"mine")]),
        )
        for call in calls:
            await far.ping()
            writing = await answer_held(proxy, call())
            server.sql("REPLACE INTO state (id, value, eTag, isbinary) VALUES ('k', '2', 'x', 0)", database=SCHEMA)
            raised = await lost(proxy, writing)
            fault = raised[0] if isinstance(raised, list) else raised
            assert type(fault) is OutcomeUnknownError
            found = await eventually(lambda: far.get(Get("k")))
            assert found is not None and found.value == b"2"


async def test_a_connection_has_the_session_that_the_store_needs_whatever_the_defaults_are(tmp_path) -> None:
    options = (
        "--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES",
        "--transaction-isolation=READ-UNCOMMITTED",
        "--autocommit=0",
    )
    with running(tmp_path, *options, "--character-set-server=latin1", "--max-allowed-packet=1M") as server:
        async with opening("state.mysql", server.settings) as open_one:
            store = await open_one("v1")
            keys = ["k'\\\"鍵", "k\\"]
            await store.transact([Set(key, b"'\\\xff") for key in keys])
            assert [(await store.get(Get(key))).value for key in keys] == [b"'\\\xff"] * 2  # type: ignore[union-attr]
            await store.bulk_write([Set(str(number), bytes(100_000)) for number in range(30)])
            assert len((await store.keys("", 100, None)).keys) == 32
            with pytest.raises(StoreRefusedError, match="max_allowed_packet"):
                await store.set(Set("k", bytes(1_000_000)))
            await store.set(Set("k", b"1"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"connectionString": "nobody:letmein@tcp({})/"}, "refuses the user or the password"),
        ({"connectionString": "root@tcp({})/?tls=true"}, "offers no TLS"),
        ({"connectionString": f"root@tcp(127.0.0.1:{free_port()})/"}, "the connection is refused"),
    ],
    ids=["password", "no TLS", "no server"],
)
async def test_what_is_wrong_is_said_without_a_secret(server: MySQLServer, open_store, settings, words: str) -> None:
    given = {name: value.format(server.address) for name, value in settings.items()}
    with pytest.raises((StoreRefusedError, StoreUnavailableError), match=words) as caught:
        await open_store(**given)
    assert not re.search("letmein|nobody", str(caught.value))


async def test_tls_is_spoken_and_its_authority_checked(tmp_path) -> None:
    certificates = make_certificates(tmp_path / "certificates")
    for path in (tmp_path / "certificates").iterdir():
        path.chmod(0o644)
    data = {name: certificates.path(f"{name}.crt") for name in ("ca", "server")}
    options = (
        f"--ssl-cert={data['server']}",
        f"--ssl-key={certificates.path('server.key')}",
        "--require-secure-transport=ON",
    )
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == tmp_path.stat().st_uid and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o011)
    with running(tmp_path / "server", *options) as server:
        custom = {"connectionString": server.dsn(parameters="tls=custom"), "pemPath": data["ca"]}
        async with opening("state.mysql", custom) as open_one:
            store = await open_one("v1")
            await store.set(Set("k", b"1"))
            await open_one("v1", connectionString=server.dsn(parameters="tls=skip-verify"), pemPath=None)
            for parameters, words in {
                "tls=true": "not trusted.*pemPath",
                "": "connections without TLS",
            }.items():
                with pytest.raises(StoreRefusedError, match=words):
                    await open_one("v1", connectionString=server.dsn(parameters=parameters), pemPath=None)


async def test_a_transaction_that_was_given_up_before_its_commit_does_not_happen_later(
    server: MySQLServer, open_store
) -> None:
    with FaultyProxy(server.port) as proxy:
        far = await open_store(connectionString=f"root@tcp({proxy.address})/", maxConns=1, timeout=1.0)
        await eventually(lambda: far.set(Set("k", b"0")))
        for call in (
            far.transact([Set("k", b"1"), Set("new", b"1")]),
            far.bulk_write([Set("new", b"1", if_absent=True), Set("newer", b"1", if_absent=True)]),
        ):
            proxy.hold_answers()
            fault = await outcome(call)
            fault = fault[0] if isinstance(fault, list) else fault
            assert type(fault) is StoreUnavailableError
            proxy.heal()
            found = await eventually(lambda: far.get(Get("k")))
            assert found is not None and found.value == b"0"
            assert await eventually(lambda: far.get(Get("new"))) is None


async def test_a_store_is_closed_while_the_server_goes_on_with_calls_that_were_given_up(
    server: MySQLServer, open_store
) -> None:
    store = await open_store(maxConns=3)
    await store.set(Set("k", b"1"))
    with server.connected(SCHEMA) as other, other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM state FOR UPDATE")
        writes = (store.set(Set("k", b"2")), store.transact([Set("k", b"3"), Set("new", b"3")]))
        tasks = [asyncio.create_task(write) for write in writes]
        count = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'INSERT%'"
        await until(lambda: server.sql(count)[0][0] == 2)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
        await store.close()  # after the test, no task may be left, and no error that nobody has seen
