"""How the store signs in: which passwords and ways work, and that a server never gets a password as plain text."""

import asyncio
from contextlib import suppress

import pytest
from integration.mysql_store.mysql_packets import greeting, packet
from servers.mysql_server import MySQLServer

from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.state.requests import Get, Set

PASSWORD = "pä/ss:@wörd'"


async def serves(store) -> bool:
    await store.set(Set("k", b"1"))
    return await store.get(Get("k")) is not None


async def test_any_character_may_be_in_a_password(server: MySQLServer, open_store) -> None:
    server.sql("DROP USER IF EXISTS someone")
    server.sql("CREATE USER someone IDENTIFIED BY %s", PASSWORD)
    server.sql("GRANT ALL ON *.* TO someone")
    assert await serves(await open_store(connectionString=server.dsn(f"someone:{PASSWORD}")))


async def test_a_unix_socket_serves(server: MySQLServer, open_store) -> None:
    assert await serves(await open_store(connectionString=f"root@unix({server.socket})/"))


async def test_preferred_tls_goes_on_without_it_as_in_dapr(server: MySQLServer, open_store) -> None:
    assert await serves(await open_store(connectionString=server.dsn(parameters="tls=preferred")))


@pytest.mark.parametrize("proposed", ["mysql_clear_password", "mysql_native_password", "caching_sha2_password"])
async def test_a_server_that_asks_for_the_password_as_plain_text_does_not_get_it(open_store, proposed: str) -> None:
    received = bytearray()

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting(proposed.encode()))
        with suppress(OSError):
            said = await reader.read(65536)
            received.extend(said)
            if said:
                writer.write(packet(2, b"\xfemysql_clear_password\0"))
                received.extend(await reader.read(65536))
        writer.close()

    async with await asyncio.start_server(ask, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(StoreRefusedError, match="asks for the password as plain text"):
            await open_store(connectionString=f"u:letmein@tcp(127.0.0.1:{port})/?allowCleartextPasswords=true")
    assert b"letmein" not in received
