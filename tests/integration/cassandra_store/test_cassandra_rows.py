"""The store reads and writes Dapr's rows, and its own rows are the same with an ETag."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from cassandra.cluster import Session
from servers.cassandra_server import CassandraServer
from servers.opened_store import opened
from servers.processes import free_port

from pannier_sidecar.state.errors import ETagMismatchError, StoreRefusedError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.cassandra.store import CassandraStore

KEYSPACE = "CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
TABLE = "CREATE TABLE {keyspace}.items (key text, value blob, PRIMARY KEY (key))"


class Dapr:
    """Does what Dapr does."""

    def __init__(self, session: Session, keyspace: str):
        self._session = session
        self._table = f"{keyspace}.items"

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return list(self._session.execute(self._session.prepare(statement.format(table=self._table)), values))

    def set(self, key: str, value: bytes, ttl: int = 0) -> None:
        self.run("INSERT INTO {table} (key, value) VALUES (?, ?) USING TTL ?", key, value, ttl)

    def get(self, key: str) -> tuple[Any, ...] | None:
        rows = self.run("SELECT value, TTL(value) FROM {table} WHERE key = ?", key)
        return rows[0] if rows else None


@pytest.fixture
def dapr(server: CassandraServer, keyspace: str) -> Iterator[Dapr]:
    with server.session() as session:
        for statement in (KEYSPACE, TABLE):
            session.execute(statement.format(keyspace=keyspace))
        yield Dapr(session, keyspace)


async def present(store: CassandraStore, key: str) -> Any:
    found = await store.get(Get(key))
    assert found is not None
    return found


async def test_a_row_of_daprs_is_read_and_its_etag_holds(server: CassandraServer, keyspace: str, dapr: Dapr) -> None:
    dapr.set("app||k", b'{"a":1}')
    async with opened(CassandraStore(server.settings(keyspace))) as store:
        found = await present(store, "app||k")
        assert (found.value, found.expires_at) == (b'{"a":1}', None)
        with pytest.raises(ETagMismatchError):
            await store.set(Set("app||k", b"2", "-1"))
        with pytest.raises(ETagMismatchError):
            await store.set(Set("app||k", b"2", if_absent=True))
        await store.set(Set("app||k", b"2", found.etag))
        assert dapr.get("app||k") == (b"2", None)
        for write in (Set("app||k", b"3", found.etag), Delete("app||k", found.etag)):
            with pytest.raises(ETagMismatchError):
                await (store.set(write) if isinstance(write, Set) else store.delete(write))
        assert list((await store.keys("app||", 10, None)).keys) == ["app||k"]


async def test_a_value_that_dapr_overwrites_has_another_etag(
    server: CassandraServer, keyspace: str, dapr: Dapr
) -> None:
    async with opened(CassandraStore(server.settings(keyspace))) as store:
        await store.set(Set("k", b"ours"))
        ours = await present(store, "k")
        time.sleep(0.01)  # two clocks stamp the writes, both in milliseconds
        dapr.set("k", b"theirs")
        theirs = await present(store, "k")
        assert theirs.value == b"theirs"
        assert theirs.etag != ours.etag
        await store.delete(Delete("k", theirs.etag))
        assert dapr.get("k") is None


async def test_a_value_that_expired_under_dapr_is_absent(server: CassandraServer, keyspace: str, dapr: Dapr) -> None:
    dapr.set("late", b"1", 1000)
    dapr.set("gone", b"1", 1)
    async with opened(CassandraStore(server.settings(keyspace))) as store:
        late = await present(store, "late")
        assert abs(late.expires_at - time.time() - 1000) < 60
        deadline = time.monotonic() + 20
        while await store.get(Get("gone")) is not None:
            assert time.monotonic() < deadline
        assert list((await store.keys("", 10, None)).keys) == ["late"]
        await store.set(Set("gone", b"2", if_absent=True))


async def test_a_value_that_expires_in_a_row_of_daprs_leaves_no_key(
    server: CassandraServer, keyspace: str, dapr: Dapr
) -> None:
    dapr.set("k", b"1")
    async with opened(CassandraStore(server.settings(keyspace))) as store:
        await store.set(Set("k", b"2", ttl=1))
        deadline = time.monotonic() + 20
        while await store.get(Get("k")) is not None:
            assert time.monotonic() < deadline
        assert dapr.run("SELECT key FROM {table}") == [("k",)]
        assert list((await store.keys("", 10, None)).keys) == []
        await store.set(Set("k", b"3", if_absent=True))
        assert (await present(store, "k")).value == b"3"


async def test_a_ttl_of_more_than_twenty_years_is_refused(server: CassandraServer, keyspace: str) -> None:
    async with opened(CassandraStore(server.settings(keyspace))) as store:
        with pytest.raises(StoreRefusedError, match="ttlInSeconds 2147483647 of key k is too long"):
            await store.set(Set("k", b"1", ttl=2**31 - 1))
        assert await store.get(Get("k")) is None


async def test_a_value_that_no_message_can_hold_is_refused(server: CassandraServer, keyspace: str) -> None:
    async with opened(CassandraStore(server.settings(keyspace))) as store:
        with pytest.raises(StoreRefusedError, match="too large .allowed maximum of [0-9]+ bytes.; split it"):
            await store.set(Set("k", bytes(20_000_000)))
        assert await store.get(Get("k")) is None


async def test_a_table_of_another_shape_is_left_alone(server: CassandraServer, keyspace: str, dapr: Dapr) -> None:
    dapr.run(f"CREATE TABLE {keyspace}.people (name text PRIMARY KEY, age int)")
    store = CassandraStore({**server.settings(keyspace), "table": "people"})
    with pytest.raises(StoreRefusedError, match="is not one for state: it needs key text PRIMARY KEY"):
        await store.open()
    await store.close()
    columns = "SELECT column_name FROM system_schema.columns WHERE keyspace_name = ? AND table_name = 'people'"
    assert sorted(dapr.run(columns, keyspace)) == [("age",), ("name",)]


async def test_statements_go_to_a_node_that_has_their_row(server: CassandraServer, keyspace: str) -> None:
    async with opened(CassandraStore(server.settings(keyspace))) as store:
        assert store._session is not None
        known = store._session.cluster.metadata
        assert known.get_replicas(keyspace, b"k") == known.all_hosts()
        assert set(known.keyspaces) == {keyspace}  # those of others may be without end


async def test_a_host_is_reached_at_the_port_written_after_it(server: CassandraServer, keyspace: str) -> None:
    settings = {**server.settings(keyspace), "hosts": f"127.0.0.1:{server.port}", "port": free_port()}
    async with opened(CassandraStore(settings)) as store:
        await store.set(Set("k", b"1"))
        assert (await present(store, "k")).value == b"1"
