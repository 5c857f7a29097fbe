"""DynamoDB is unreachable, hangs or loses answers: calls end in time, and nothing happens twice."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import pytest
from servers.dynamodb_server import DynamoDBServer, running
from servers.eventually import eventually, until
from servers.hanging_proxy import HangingProxy
from servers.http_proxy import HttpProxy, http_proxy
from servers.load import Load
from servers.opened_store import opened

from pannier_sidecar.state.errors import (
    ETagMismatchError,
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.dynamodb.store import DynamoDBStore

BUSY = (400, {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slow down"})
BROKEN = (500, {"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message": "oh"})


@pytest.mark.timeout(300)
async def test_killed_and_restarted_under_load_it_has_every_answered_write(tmp_path: Path) -> None:
    with running(tmp_path, keeps_tables=True) as server:
        server.create_table("state")
        async with opened(DynamoDBStore({**server.settings("state"), "timeout": 2.0})) as store:
            async with Load(store) as load:  # type: ignore[arg-type]
                reached = load.done
                await until(lambda: load.done > reached + 50, 60)
                server.kill()
                await asyncio.to_thread(server.start)
                reached = load.done
                await until(lambda: load.done > reached + 50, 60)
            await load.check(store)  # type: ignore[arg-type]


async def test_a_paused_server_fails_calls_in_time_and_serves_again(server: DynamoDBServer, table: str) -> None:
    async with opened(DynamoDBStore({**server.settings(table), "timeout": 0.5})) as store:
        await eventually(lambda: store.set(Set("k", b"1")))
        etag = (await present(store, "k")).etag
        server.pause()
        try:
            started = monotonic()
            reads = [store.get(Get("k")), store.keys("", 10, None), store.ping()]
            writes = [store.set(Set("k", b"2", etag)), store.delete(Delete("x")), store.transact([Set("y", b"1")])]
            bulks = [store.bulk_get([Get("k")]), store.bulk_write([Set("z", b"1"), Set("z", b"2")])]
            read = await asyncio.gather(*reads, return_exceptions=True)
            written = await asyncio.gather(*writes, return_exceptions=True)
            answered = await asyncio.gather(*bulks)
            assert monotonic() - started < 20
        finally:
            server.resume()
        for fault in (*read, *answered[0]):
            assert type(fault) is StoreUnavailableError
            assert "did not answer within 0.5 s" in str(fault)
        for fault in (*written, *answered[1]):
            assert type(fault) is OutcomeUnknownError
            assert "read the key before writing again" in str(fault)
        await eventually(lambda: store.set(Set("k", b"4")))


async def test_opening_without_a_listener_names_the_address(server: DynamoDBServer, table: str) -> None:
    store = DynamoDBStore({**server.settings(table), "endpoint": "http://127.0.0.1:9"})
    with pytest.raises(StoreUnavailableError, match="DynamoDB at http://127.0.0.1:9 can't do it now"):
        await store.open()
    await store.close()


async def test_connections_are_limited_after_an_opening_that_failed(server: DynamoDBServer, table: str) -> None:
    proxy = HangingProxy(urlsplit(server.endpoint).port or 80)
    await proxy.open()
    await proxy.close()
    endpoint = f"http://127.0.0.1:{proxy.port}"
    store = DynamoDBStore({**server.settings(table), "endpoint": endpoint, "timeout": 0.5, "maxConnections": 5})
    with pytest.raises(StoreUnavailableError):
        await store.open()
    async with proxy:
        await eventually(store.open)
        proxy.word = b"hung"
        for _ in range(4):
            await asyncio.gather(*(error_of(store.get(Get("hung"))) for _ in range(10)))
        assert proxy.most <= 5 + 2, "one or two are counted for an instant after the store has closed them"
        proxy.release()
        await store.close()


async def error_of(call: Awaitable[object]) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await call
    return caught.value


def through(proxy: HttpProxy, server: DynamoDBServer, table: str) -> DynamoDBStore:
    return DynamoDBStore({**server.settings(table), "endpoint": proxy.url})


async def test_a_conditional_write_whose_answer_is_lost_is_not_repeated(server: DynamoDBServer, table: str) -> None:
    async with http_proxy(server.endpoint) as proxy, opened(through(proxy, server, table)) as store:
        proxy.seen.clear()
        proxy.troubles[:] = ["lost"]
        with pytest.raises(OutcomeUnknownError, match="read the key before writing again"):
            await store.set(Set("k", b"1", if_absent=True))
        assert proxy.seen == ["PutItem"]
        assert (await present(store, "k")).value == b"1"


@pytest.mark.parametrize("trouble", ["lost", BROKEN])
async def test_a_read_is_repeated_but_a_write_whose_answer_is_lost_is_not(
    server: DynamoDBServer, table: str, trouble: Any
) -> None:
    async with http_proxy(server.endpoint) as proxy, opened(through(proxy, server, table)) as store:
        await store.set(Set("k", b"1"))
        proxy.seen.clear()
        proxy.troubles[:] = [trouble]
        assert (await present(store, "k")).value == b"1"
        assert proxy.seen == ["GetItem"] * 2
        for call, name in (
            (store.set(Set("k", b"2")), "PutItem"),
            (store.delete(Delete("k")), "DeleteItem"),
            (store.transact([Set("k", b"1")]), "PutItem"),
        ):
            proxy.seen.clear()
            proxy.troubles[:] = [trouble]
            with pytest.raises(OutcomeUnknownError):
                await call
            assert proxy.seen == [name]
        proxy.troubles[:] = [trouble]
        for fault in await store.bulk_write([Set("a", b"1"), Set("b", b"1")]):
            assert type(fault) is OutcomeUnknownError


async def test_throttled_calls_are_repeated_because_they_were_not_carried_out(
    server: DynamoDBServer, table: str
) -> None:
    async with http_proxy(server.endpoint) as proxy, opened(through(proxy, server, table)) as store:
        proxy.seen.clear()
        for call in (store.set(Set("k", b"1")), store.delete(Delete("k")), store.bulk_write([Set("a", b"1")] * 1)):
            proxy.troubles[:] = [BUSY]
            await call
        assert proxy.seen == ["PutItem"] * 2 + ["DeleteItem"] * 2 + ["BatchWriteItem"] * 2


async def test_a_transaction_that_is_throttled_after_its_answer_was_lost_may_have_happened(
    server: DynamoDBServer, table: str
) -> None:
    async with http_proxy(server.endpoint) as proxy, opened(through(proxy, server, table)) as store:
        proxy.troubles[:] = ["lost", BUSY, BUSY, BUSY]
        with pytest.raises(OutcomeUnknownError, match="an earlier attempt was not answered"):
            await store.transact([Set("k", b"1", if_absent=True), Set("l", b"1", if_absent=True)])
        assert (await present(store, "l")).value == b"1"
        proxy.troubles[:] = [BUSY] * 4
        with pytest.raises(StoreUnavailableError):
            await store.transact([Set("k", b"1", if_absent=True), Set("l", b"1", if_absent=True)])


async def test_a_transaction_whose_answer_is_lost_happens_once(server: DynamoDBServer, table: str) -> None:
    async with http_proxy(server.endpoint) as proxy, opened(through(proxy, server, table)) as store:
        proxy.troubles[:] = ["lost"]
        await store.transact([Set("k", b"1", if_absent=True), Set("l", b"1", if_absent=True)])
        assert proxy.seen[-2:] == ["TransactWriteItems"] * 2
        with pytest.raises(ETagMismatchError, match="key k exists already"):
            await store.transact([Set("k", b"2", if_absent=True), Set("l", b"2")])
        assert (await present(store, "l")).value == b"1"


async def test_a_throttled_conditional_write_is_repeated_because_it_was_not_done(
    server: DynamoDBServer, table: str
) -> None:
    async with http_proxy(server.endpoint) as proxy, opened(through(proxy, server, table)) as store:
        proxy.troubles[:] = [BUSY, BUSY]
        await store.set(Set("k", b"1", if_absent=True))
        proxy.troubles[:] = [BUSY] * 4
        with pytest.raises(StoreUnavailableError, match="can't do it now: ThrottlingException") as caught:
            await store.set(Set("l", b"1", if_absent=True))
        assert type(caught.value) is StoreUnavailableError
        assert await store.get(Get("l")) is None


async def test_unprocessed_keys_of_a_batch_are_requested_again(server: DynamoDBServer, table: str) -> None:
    async with http_proxy(server.endpoint) as proxy, opened(through(proxy, server, table)) as store:
        undone = {"PutRequest": {"Item": {"key": {"S": "b"}, "value": {"S": "1"}, "etag": {"S": "1"}}}}
        proxy.troubles[:] = [(200, {"UnprocessedItems": {table: [undone]}})]
        assert list(await store.bulk_write([Set("a", b"1"), Set("b", b"1")])) == [None, None]
        assert await store.get(Get("b")) is not None
        await store.set(Set("a", b"1"))
        unread = {table: {"Keys": [{"key": {"S": "a"}}]}}
        found = {"key": {"S": "b"}, "value": {"S": "2"}, "etag": {"S": "2"}}
        proxy.troubles[:] = [(200, {"Responses": {table: [found]}, "UnprocessedKeys": unread})]
        assert [getattr(each, "value", None) for each in await store.bulk_get([Get("a"), Get("b")])] == [b"1", b"2"]
        proxy.troubles[:] = [(200, {"Responses": {}, "UnprocessedKeys": unread})]
        [fault] = await store.bulk_get([Get("a")])
        assert isinstance(fault, StoreUnavailableError)
        assert "no capacity left" in str(fault)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("UnrecognizedClientException", "check accessKey, secretKey and sessionToken"),
        ("ExpiredTokenException", "check accessKey, secretKey and sessionToken"),
        ("AccessDeniedException", "allow it on table state-"),
    ],
)
async def test_unknown_aws_credentials_are_refused_with_advice(
    server: DynamoDBServer, table: str, code: str, advice: str
) -> None:
    async with http_proxy(server.endpoint) as proxy:
        proxy.troubles[:] = [(400, {"__type": f"com.amazon.coral.service#{code}", "message": "no"})]
        store = DynamoDBStore({**server.settings(table), "endpoint": proxy.url})
        with pytest.raises(StoreRefusedError, match=f"refused the call .{code}.; {advice}"):
            await store.open()
        await store.close()


async def test_a_missing_table_or_one_with_another_key_is_reported(server: DynamoDBServer, table: str) -> None:
    server.create_table(f"{table}-contracts", "ContractID")
    server.create_table(f"{table}-sorted", "key", "time")
    for name, advice in (
        (f"{table}-none", f"check table and region, or create it: aws dynamodb create-table --table-name {table}-none"),
        (f"{table}-contracts", "set partitionKey to the table's partition key"),
        (f"{table}-sorted", "it must be of type String, without a sort key"),
    ):
        store = DynamoDBStore(server.settings(name))
        with pytest.raises(StoreRefusedError) as caught:
            await store.open()
        assert advice in str(caught.value)
        await store.close()


async def test_without_credentials_or_region_the_setting_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for settings, advice in (({"region": "eu-central-1"}, "set accessKey and secretKey"), ({}, "set region")):
        store = DynamoDBStore({"table": "state", "endpoint": "http://127.0.0.1:9", **settings})
        with pytest.raises(StoreRefusedError, match=advice):
            await store.open()
        await store.close()


async def present(store: DynamoDBStore, key: str) -> Any:
    found = await store.get(Get(key))
    assert found is not None
    return found
