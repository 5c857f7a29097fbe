"""PostgreSQL pushes changes of rows by triggers: what is reported, what is refused, and what ends a feed."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from conformance.feeds import followed, outage_of
from servers import server_faults
from servers.eventually import eventually, until
from servers.faulty_proxy import FaultyProxy
from servers.hostile_proxy import HostileProxy
from servers.mirror import etags_of, mirrored
from servers.opened_store import OpenStore
from servers.pgbouncer_server import PgBouncerServer
from servers.postgresql_server import SUPERUSER, PostgreSQLServer, make_triggers, running

from pannier_sidecar.state.errors import NotSupportedError, StoreError
from pannier_sidecar.state.feeds import ChangesBy
from pannier_sidecar.state.requests import Get, Set

VERSIONS = ("v1", "v2")
INTO_V2 = "INSERT INTO state (key, value) VALUES"


async def refusal_of_a_feed(open_one: OpenStore, **more: Any) -> str:
    store = await open_one("v2", **more)
    with pytest.raises(NotSupportedError) as caught:
        async with followed(store, "app||"):
            pass
    text = str(caught.value)
    assert "\n" not in text
    assert "secret" not in text
    return text


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_others_write_is_reported(server: PostgreSQLServer, open_store: OpenStore, version: str) -> None:
    await make_triggers(server, version)
    store = await open_store(version)
    columns, value = ("key, value", "'x'") if version == "v2" else ("key, value, isbinary", "'1', false")
    into = f"INSERT INTO state ({columns}) VALUES"
    names = {"a b": "a b", "line\nbreak": "line\nbreak", "ü'\"\\": "ü''\"\\", "x" * 2000: "x" * 2000}
    async with followed(store, "app||") as feed:
        for written in names.values():
            server.sql(f"{into} ('app||{written}', {value})")
        server.sql(f"{into} ('other||a', {value})")
        await feed.until_now()
        for name in names:
            found = await store.get(Get(f"app||{name}"))
            assert found is not None
            assert feed.etags(f"app||{name}") == [found.etag]
        server.sql("UPDATE state SET key = 'app||new' WHERE key = 'app||a b'; UPDATE state SET key = key")
        server.sql(f"BEGIN; {into} ('app||undone', {value}); ROLLBACK")
        await feed.until_now()
        assert feed.etags("app||a b")[-1] is None
        assert feed.etags("app||new")[-1] == (await etags_of(store, "app||"))["app||new"]
        assert not feed.etags("app||undone")
        assert not feed.etags("other||a")
        assert not feed.has_gap


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_last_of_several_states_in_one_transaction_counts(
    server: PostgreSQLServer, open_store: OpenStore, version: str
) -> None:
    """PostgreSQL makes one of two notifications with the same text, in the place of the first."""
    await make_triggers(server, version)
    store = await open_store(version)
    columns, value = ("key, value", "'x'") if version == "v2" else ("key, value, isbinary", "'1', false")
    put = f"INSERT INTO state ({columns}) VALUES ('app||a', {value})"
    drop = "DELETE FROM state WHERE key = 'app||a'"
    async with followed(store, "app||") as feed:
        server.sql(f"BEGIN; {put}; {drop}; {put}; {drop}; {put}; COMMIT")
        await feed.until_now()
        assert feed.etags("app||a")[-1] == (await etags_of(store, "app||"))["app||a"]
        server.sql(f"BEGIN; {drop}; {put}; {drop}; {put}; {drop}; COMMIT")
        await feed.until_now()
        assert feed.etags("app||a")[-1] is None


async def test_many_rows_in_one_transaction_are_reported_or_a_gap(
    server: PostgreSQLServer, open_store: OpenStore
) -> None:
    await make_triggers(server, "v2")
    store = await open_store("v2")
    async with mirrored(store, "app||") as mirror:
        server.sql("INSERT INTO state (key, value) SELECT 'app||' || n, 'x' FROM generate_series(1, 20000) AS n")
        await mirror.until_now()
        assert len(mirror.etags) == 20_000
        server.sql("TRUNCATE state")
        await mirror.until_now()
        assert not mirror.etags
        assert "the table was emptied by TRUNCATE" in mirror.gaps


async def test_rows_expire_when_their_time_has_come(server: PostgreSQLServer, open_store: OpenStore) -> None:
    """Nobody removes them meanwhile."""
    await make_triggers(server, "v2")
    server.sql(
        "INSERT INTO state (key, value, expires_at) SELECT 'app||' || n, 'x', now() + interval '3 seconds' "
        "FROM generate_series(1, 4000) AS n"
    )
    server.sql("INSERT INTO state (key, value, expires_at) VALUES ('app||ever', 'x', 'infinity')")
    store = await open_store("v2", cleanupInterval=0.0)
    async with mirrored(store, "app||") as mirror:
        server.sql("UPDATE state SET expires_at = now() + interval '1 hour' WHERE key = 'app||1'")
        await store.set(Set("app||late", b"1", ttl=4))
        await until(lambda: set(mirror.etags) == {"app||1", "app||ever"})
        assert mirror.begun == 1
        assert not mirror.gaps


async def test_a_user_with_few_rights_may_follow(server: PostgreSQLServer, open_store: OpenStore) -> None:
    await make_triggers(server, "v2")
    server.sql("DROP ROLE IF EXISTS few; CREATE ROLE few LOGIN")
    server.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON state, dapr_metadata TO few")
    store = await open_store("v2", connectionString=server.url("few"))
    async with followed(store, "app||") as feed:
        await store.set(Set("app||a", b"1"))
        await feed.until_now()
        assert feed.etags("app||a")


async def test_a_feed_frees_its_session(server: PostgreSQLServer, open_store: OpenStore) -> None:
    await make_triggers(server, "v2")
    store = await open_store("v2")

    def sessions() -> str:
        return server.sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")

    before = sessions()
    async with followed(store, "app||"):
        assert sessions() == str(int(before) + 1)
    await until(lambda: sessions() == before)


# --- what is refused ----------------------------------------------------------------------------------------------


async def test_without_triggers_it_is_refused_with_what_to_run(server: PostgreSQLServer, open_store: OpenStore) -> None:
    secret = f"postgresql://{SUPERUSER}:secret@{server.address}/postgres"
    text = await refusal_of_a_feed(open_store, connectionString=secret)
    assert "no triggers" in text
    assert "changes: poll" in text
    await make_triggers(server, "v2")
    for harm in (
        "ALTER TABLE state DISABLE TRIGGER pannier_rows",
        "DROP TRIGGER pannier_truncate ON state",
        "CREATE OR REPLACE FUNCTION pannier_changes_v2() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    ):
        server.sql(harm)
        assert "other triggers" in await refusal_of_a_feed(open_store)
        await make_triggers(server, "v2")


async def test_behind_a_pooler_changes_are_polled_or_refused(
    server: PostgreSQLServer, open_store: OpenStore, tmp_path: Path
) -> None:
    await make_triggers(server, "v2")
    with PgBouncerServer(tmp_path, server, "transaction") as pooler:
        text = await refusal_of_a_feed(open_store, **pooler.settings)
        assert "pooler" in text
        assert "changes: poll" in text
        store = await open_store("v2", changes="poll", **pooler.settings)
        assert store.changes_by is ChangesBy.POLL
        async with mirrored(store, "app||") as mirror:
            for number in range(250):
                await store.set(Set(f"app||{number}", b"1"))
            await mirror.until_now()
            assert len(mirror.etags) == 250
            assert not mirror.gaps


# --- outages ------------------------------------------------------------------------------------------------------


async def test_a_feed_ends_when_its_connection_is_lost_or_silent(
    server: PostgreSQLServer, open_store: OpenStore
) -> None:
    await make_triggers(server, "v2")
    with FaultyProxy(server.port) as proxy:
        url = f"postgresql://{SUPERUSER}@{proxy.address}/postgres"
        store = await open_store("v2", connectionString=url, timeout=2.0)
        async with followed(store, "app||") as feed:
            proxy.cut()
            await outage_of(feed)
        async with followed(store, "app||") as feed:
            proxy.hold_answers()
            assert "did not answer" in await outage_of(feed)
            proxy.heal()


async def test_a_feed_ends_when_its_triggers_or_its_table_are_gone(
    server: PostgreSQLServer, open_store: OpenStore
) -> None:
    await make_triggers(server, "v2")
    store = await open_store("v2")
    for harm in ("ALTER TABLE state DISABLE TRIGGER ALL", "ALTER TABLE state RENAME TO former"):
        async with followed(store, "app||") as feed:
            server.sql(harm)
            assert "triggers" in await outage_of(feed)
        server.sql("ALTER TABLE IF EXISTS state ENABLE TRIGGER ALL")


async def test_a_feed_ends_when_calls_go_to_another_server(
    server: PostgreSQLServer, open_store: OpenStore, tmp_path: Path
) -> None:
    """As when a primary was replaced behind a name: the former one goes on, and reports nothing."""
    with running(tmp_path) as successor, FaultyProxy(server.port) as proxy:
        await make_triggers(server, "v2")
        await make_triggers(successor, "v2")
        store = await open_store("v2", connectionString=f"postgresql://{SUPERUSER}@{proxy.address}/postgres")
        own = server.sql("SELECT string_agg(pid::text, ',') FROM pg_stat_activity WHERE client_port IS NOT NULL")
        async with followed(store, "app||") as feed:
            proxy.target = successor.port
            server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid IN ({own})")
            await eventually(lambda: store.set(Set("app||a", b"1")))
            assert "another server" in await outage_of(feed)


async def test_a_copy_is_right_after_a_server_was_killed_and_started_again(
    open_store: OpenStore, tmp_path: Path
) -> None:
    with running(tmp_path) as server:
        await make_triggers(server, "v2")
        store = await open_store("v2", timeout=5.0, **server.settings)
        async with mirrored(store, "app||") as mirror:
            for number in range(2):
                begun = mirror.begun
                await eventually(lambda number=number: store.set(Set(f"app||{number}", b"1")))
                server.kill()
                server.start()
                server.sql(f"{INTO_V2} ('app||{number} meanwhile', 'x')")
                await until(lambda begun=begun: mirror.begun > begun)
            await mirror.until_now()
            assert mirror.etags == await etags_of(store, "app||")
            assert len(mirror.etags) == 4
        await store.close()


async def test_a_hostile_server_ends_a_feed(
    server: PostgreSQLServer, open_store: OpenStore, subtests: pytest.Subtests
) -> None:
    def notification(channel: bytes, text: bytes) -> bytes:
        return server_faults.message(b"A", b"\0\0\0\1" + channel + b"\0" + text + b"\0")

    shapes = {
        "notifications without end": notification(b"other", b"x" * 7000) * 9,
        "notifications of nothing": notification(b"", b""),
    }
    faults = {
        **server_faults.POSTGRESQL,
        **{name: server_faults.postgresql(server_faults.says(b"", shape)) for name, shape in shapes.items()},
    }
    await make_triggers(server, "v2")
    with HostileProxy(server.port) as proxy:
        url = f"postgresql://{SUPERUSER}@{proxy.address}/postgres"
        store = await open_store("v2", connectionString=url, timeout=2.0)
        for name, fault in faults.items():
            with subtests.test(name):
                async with asyncio.timeout(60), followed(store, "app||") as feed:
                    proxy.turn(fault)
                    with pytest.raises(StoreError):
                        while True:
                            await feed.take()
                    proxy.come_back()
                await eventually(store.ping)
