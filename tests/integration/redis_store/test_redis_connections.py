"""Connecting: passwords, users and their permissions, databases, TLS; and the messages if it does not work."""

import asyncio
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.opened_redis import opened
from servers.opened_store import refusal_of
from servers.processes import free_port
from servers.redis_server import (
    Certificates,
    RedisServer,
    encrypted,
    make_certificates,
    single,
    with_replica,
)

from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.redis.store import RedisStore


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    folder = tmp_path_factory.mktemp("redis")
    with single(folder, "--requirepass", "secret", client={"password": "secret"}) as server:
        yield server


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


async def refusal(settings: dict[str, Any], **more: Any) -> StoreError:
    """Return what `open` says."""
    error = await refusal_of(RedisStore, {**settings, **more})
    assert "secret" not in str(error)
    return error


async def writes_and_reads(store: RedisStore) -> None:
    await store.set(Set("app||k", b"1"))
    found = await store.get(Get("app||k"))
    assert found is not None
    assert found.value == b"1"


async def test_the_right_password_gets_in(server: RedisServer) -> None:
    async with opened(server.settings, redisPassword="secret") as store:
        await writes_and_reads(store)
        await store.ping()


async def test_a_wrong_password_is_refused_with_the_fields_to_check(server: RedisServer) -> None:
    fault = await refusal(server.settings, redisPassword="secreter")
    assert isinstance(fault, StoreRefusedError)
    assert "WRONGPASS" in str(fault)
    assert "check redisUsername and redisPassword" in str(fault)


async def test_a_missing_password_is_refused_with_the_field_to_set(server: RedisServer) -> None:
    fault = await refusal(server.settings)
    assert isinstance(fault, StoreRefusedError)
    assert "NOAUTH" in str(fault)
    assert "set redisPassword" in str(fault)


async def test_a_user_with_few_rights_is_enough(server: RedisServer) -> None:
    with server.client() as client:
        client.execute_command(
            "ACL SETUSER", "app", "on", ">pw", "resetkeys", "~app||*", "-@all", "+ping", "+hmget", "+hget", "+hset",
            "+hincrby", "+pttl", "+evalsha", "+eval", "+exists", "+type", "+get", "+persist", "+pexpire", "+del",
            "+time", "+scan",
        )  # fmt: skip
    async with opened(server.settings, redisUsername="app", redisPassword="pw") as store:
        await writes_and_reads(store)
        await store.transact([Set("app||k", b"2"), Delete("app||l")])
        await store.delete(Delete("app||k"))
        assert (await store.keys("app||", 10, None)).keys == []
        with pytest.raises(StoreRefusedError, match="NOPERM"):
            await store.get(Get("other||k"))
        with pytest.raises(StoreRefusedError, match="NOPERM.*ACL SETUSER"):
            await store.set(Set("other||k", b"1"))
        with pytest.raises(StoreUnavailableError, match="INFO"):
            await store.set(Set("app||k", b"1", strong=True))


async def test_a_user_who_lacks_a_command_is_refused_at_once(server: RedisServer, subtests: pytest.Subtests) -> None:
    for command in ["pttl", "pexpire", "del", "hmget", "time"]:
        with subtests.test(command):
            with server.client() as client:
                client.execute_command("ACL SETUSER", "less", "reset", "on", ">pw", "~*", "+@all", f"-{command}")
            fault = await refusal(server.settings, redisUsername="less", redisPassword="pw")
            assert isinstance(fault, StoreRefusedError)
            assert f"'{command}'" in str(fault)


async def test_a_password_that_was_changed_meanwhile_is_reported_by_the_calls(tmp_path: Path) -> None:
    with single(tmp_path) as server:
        async with opened(server.settings, dialTimeout=0.3) as store:
            with server.client() as client:
                client.config_set("requirepass", "new")
                client.auth("new")
                client.client_kill_filter(_type="normal")
            with pytest.raises(StoreError, match="NOAUTH"):
                await store.get(Get("k"))


async def test_databases_are_apart(server: RedisServer) -> None:
    async with (
        opened(server.settings, redisPassword="secret", redisDB=3) as third,
        opened(server.settings, redisPassword="secret", redisDB=4) as fourth,
    ):
        await third.set(Set("only in 3", b"1"))
        assert await fourth.get(Get("only in 3")) is None


async def test_a_database_that_is_not_there_is_refused(server: RedisServer) -> None:
    fault = await refusal(server.settings, redisPassword="secret", redisDB=99)
    assert isinstance(fault, StoreRefusedError)
    assert "redisDB 99" in str(fault)


async def test_a_missing_listener_is_reported_with_the_address() -> None:
    port = free_port()
    fault = await refusal({"redisHost": "127.0.0.1", "redisPort": port})
    assert isinstance(fault, StoreUnavailableError)
    assert f"127.0.0.1:{port} cannot be reached" in str(fault)


async def test_an_unknown_host_is_reported() -> None:
    fault = await refusal({"redisHost": "no-such-host.invalid"})
    assert isinstance(fault, StoreUnavailableError)
    assert "no-such-host.invalid:6379" in str(fault)


async def test_an_invalid_name_is_refused() -> None:
    for host in ("a..b", "x" * 64 + ".example"):
        fault = await refusal({"redisHost": host})
        assert "redisHost" in str(fault)


async def test_a_server_with_too_many_clients_is_worth_another_attempt(server: RedisServer) -> None:
    with server.client() as client:
        client.config_set("maxclients", "1")
        try:
            fault = await refusal(server.settings, redisPassword="secret")
        finally:
            client.config_set("maxclients", "10000")
    assert type(fault) is StoreUnavailableError
    assert "max number of clients" in str(fault)


@pytest.mark.parametrize("listens_first", [True, False])
async def test_the_disconnect_reason_of_a_server_is_reported(listens_first: bool) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if listens_first:
            await reader.readuntil(b"SETNAME")
        writer.write(b"-ERR max number of clients reached\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        fault = await refusal({"redisHost": f"127.0.0.1:{server.sockets[0].getsockname()[1]}"})
    assert type(fault) is StoreUnavailableError
    assert "says: ERR max number of clients reached" in str(fault)
    assert "TLS" not in str(fault)


async def test_a_server_that_says_nothing_is_given_up_after_the_dial_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        fault = await refusal({"redisHost": f"127.0.0.1:{silent.getsockname()[1]}"}, dialTimeout=0.3)
    assert isinstance(fault, StoreUnavailableError)
    assert "did not answer within 0.3 s" in str(fault)


async def test_a_server_of_another_protocol_is_reported() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    other = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with other:
        fault = await refusal({"redisHost": f"127.0.0.1:{other.sockets[0].getsockname()[1]}"})
    assert "does not speak the Redis protocol" in str(fault)


async def test_a_replica_is_refused(tmp_path: Path) -> None:
    with with_replica(tmp_path) as (_, replica):
        fault = await refusal(replica.settings)
    assert "takes no writes" in str(fault)


async def test_a_single_node_is_no_cluster_and_no_sentinel(server: RedisServer) -> None:
    fault = await refusal(server.settings, redisPassword="secret", redisType="cluster")
    assert "write redisType: node" in str(fault)
    fault = await refusal(server.settings, failover=True, sentinelMasterName="m", sentinelPassword="secret")
    assert "is redisHost a Sentinel" in str(fault)


async def test_settings_that_cannot_be_used_are_named(subtests: pytest.Subtests) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"redisHost": " , "}, "redisHost is empty"),
        ({"redisHost": "h:70000"}, "port from 1 to 65535"),
        ({"redisHost": "h:1", "redisPort": 2}, "take one of them out"),
        ({"redisHost": "h", "failover": True}, "sentinelMasterName"),
        ({"redisHost": "h", "enableTLS": True, "clientCert": "x"}, "clientKey is missing"),
        ({"redisHost": "h", "enableTLS": True, "clientCert": "x", "clientKey": "y"}, "clientCert and clientKey"),
        ({"redisHost": "h", "enableTLS": True, "caCert": "/nowhere"}, "caCert cannot be used"),
    ]
    for settings, says in cases:
        with subtests.test(says):
            fault = await refusal(settings)
            assert isinstance(fault, StoreRefusedError)
            assert says in str(fault)


# --- TLS ----------------------------------------------------------------------------------------------------------


async def test_tls_works_with_a_private_authority(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with encrypted(tmp_path, certificates) as server:
        async with opened(server.settings, enableTLS=True, caCert=certificates.path("ca.crt")) as store:
            await writes_and_reads(store)
        async with opened(server.settings, enableTLS=True, insecureSkipTLSVerify=True) as store:
            await writes_and_reads(store)
        fault = await refusal(server.settings, enableTLS=True)
        assert isinstance(fault, StoreRefusedError)
        assert "in caCert" in str(fault) and "SSL_CERT_FILE" in str(fault)
        monkeypatch.setenv("SSL_CERT_FILE", certificates.path("ca.crt"))
        async with opened(server.settings, enableTLS=True) as store:
            await writes_and_reads(store)


async def test_tls_where_the_client_shows_a_certificate(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")  # as in a pod, whose file system is read-only
    ours = {"clientCert": certificates.text("client.crt"), "clientKey": certificates.text("client.key")}
    with encrypted(tmp_path, certificates, asks_client=True) as server:
        trusting = {**server.settings, "enableTLS": True, "caCert": certificates.text("ca.crt")}
        async with opened(trusting, **ours) as store:
            await writes_and_reads(store)
        fault = await refusal(trusting)
        assert "clientCert" in str(fault) or "client certificate" in str(fault)


async def test_tls_on_only_one_side_is_reported(
    tmp_path: Path, certificates: Certificates, server: RedisServer
) -> None:
    with encrypted(tmp_path, certificates) as tls_only:
        assert 'set enableTLS: "true"' in str(await refusal(tls_only.settings, dialTimeout=1.0))
    fault = await refusal(server.settings, enableTLS=True, redisPassword="secret", dialTimeout=1.0)
    assert "TLS" in str(fault)


async def test_large_values_pass_through_tls(tmp_path: Path, certificates: Certificates) -> None:
    value = bytes(range(256)) * 4096 * 4
    with encrypted(tmp_path, certificates) as server:
        async with opened(server.settings, enableTLS=True, insecureSkipTLSVerify=True) as store:
            await asyncio.gather(*(store.set(Set(f"k{n}", value)) for n in range(8)))
            found = await store.bulk_get([Get(f"k{n}") for n in range(8)])
            assert all(getattr(each, "value", None) == value for each in found)
