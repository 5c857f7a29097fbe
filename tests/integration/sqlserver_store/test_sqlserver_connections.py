"""How connections are made: TLS in its three forms, signing in, and servers that send the client elsewhere."""

from typing import Any

import pytds
import pytest
from servers.free_ports import free_port
from servers.opened_store import opening
from servers.sqlserver_server import SQLServer, connection_string
from servers.tds_fake import LIMITED, PASSWORD, TOKEN, USER

from pannier_sidecar.state.errors import StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores.sqlserver.store import SQLServerStore


async def serves(store) -> bool:
    await store.set(Set("k", b"x" * 100_000))
    found = await store.get(Get("k"))
    return found is not None and found.value == b"x" * 100_000


def test_another_client_is_served_by_the_same_fake(server: SQLServer) -> None:
    """So the fake speaks the protocol, and not only what our client takes for it."""
    for port_options in ({}, {"database": "master"}):
        connection = pytds.connect(
            "127.0.0.1", port=server.port, user=USER, password=PASSWORD, autocommit=True, **port_options
        )
        cursor = connection.cursor()
        cursor.execute("SELECT COUNT(DB_ID(%s)), CAST(%s AS NVARCHAR(10))", ("master", "ä"))
        assert cursor.fetchall() == [(1, "ä")]
        cursor.execute("BEGIN TRANSACTION")
        cursor.execute("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
        with pytest.raises(pytds.ProgrammingError) as caught:
            cursor.execute("SELECT 1 FROM [dbo].[missing]")
        assert caught.value.msg_no == 208
        connection.close()


async def test_each_form_of_tls_serves(server: SQLServer, open_store, subtests: pytest.Subtests) -> None:
    authority = f"certificate={server.authority}"
    for parameters in (
        "",
        "encrypt=false",
        "encrypt=disable",
        "encrypt=true;trustservercertificate=true",
        f"encrypt=true;{authority}",
        f"encrypt=strict;{authority}",
        "encrypt=strict;trustservercertificate=true",
    ):
        with subtests.test(parameters):
            store = await open_store(connectionString=connection_string(server.port, parameters))
            assert await serves(store)


async def test_certificates_that_are_not_trusted_are_refused(
    server: SQLServer, open_store, subtests: pytest.Subtests
) -> None:
    authority = f"certificate={server.authority}"
    for parameters in (
        "encrypt=true",
        "encrypt=strict",
        f"encrypt=true;{authority};hostnameincertificate=db.example",
        f"encrypt=strict;{authority};hostnameincertificate=db.example",
    ):
        with subtests.test(parameters), pytest.raises(StoreRefusedError, match="certificate that is not trusted"):
            await open_store(connectionString=connection_string(server.port, parameters))


async def test_what_one_side_wants_of_tls_and_the_other_refuses_is_said(tmp_path) -> None:
    for tls, parameters, words in (
        ("off", "", "offers no TLS"),
        ("required", "encrypt=disable", "only connections with TLS"),
    ):
        with SQLServer(tmp_path / tls, tls=tls) as server:
            settings = {"connectionString": connection_string(server.port, parameters)}
            async with opening("state.sqlserver", settings) as open_one:
                with pytest.raises(StoreRefusedError, match=words):
                    await open_one("v1")


async def test_small_packets_and_large_ones_serve(tmp_path) -> None:
    for size in (512, 32_767):
        with SQLServer(tmp_path / str(size), packets=size) as server:
            async with opening("state.sqlserver", server.settings) as open_one:
                assert await serves(await open_one("v2"))


async def test_a_wrong_password_is_refused_and_not_shown(server: SQLServer, open_store) -> None:
    wrong = f"server=127.0.0.1;port={server.port};user id=sa;password=letmein"
    with pytest.raises(StoreRefusedError, match="refuses the user, the password or the token") as caught:
        await open_store(connectionString=wrong)
    assert "letmein" not in str(caught.value)


class StoreWithToken(SQLServerStore):
    """A store that gets its token from the test instead of Entra ID."""

    token = TOKEN

    async def _tokens(self, resources):
        async def token() -> str:
            return self.token

        return token


async def test_a_token_signs_in_and_a_wrong_one_does_not(server: SQLServer, database: str) -> None:
    settings: dict[str, Any] = {"useAzureAD": True, "databaseName": database}
    address = {"connectionString": f"server=127.0.0.1,{server.port};encrypt=true;certificate={server.authority}"}
    store = StoreWithToken({**settings, **address})
    await store.open()
    assert await serves(store)
    await store.close()
    wrong = StoreWithToken({**settings, **address})
    wrong.token = "t" * 5000
    with pytest.raises(StoreRefusedError, match="the token"):
        await wrong.open()


async def test_a_gateway_sends_the_client_to_the_server(server: SQLServer, tmp_path, database: str) -> None:
    with SQLServer(tmp_path / "gateway", routes_to=server.port) as gateway:
        settings = {**gateway.settings, "databaseName": database}
        async with opening("state.sqlserver", settings) as open_one:
            assert await serves(await open_one("v1"))
    with SQLServer(tmp_path / "circle", routes_to=1) as circle:
        async with opening("state.sqlserver", {**circle.settings, "databaseName": database}) as open_one:
            with pytest.raises(StoreUnavailableError, match="refused"):
                await open_one("v1", timeout=5.0)


async def test_gateways_that_send_in_circles_are_given_up(tmp_path) -> None:
    port = free_port()
    with SQLServer(tmp_path / "one", routes_to=port) as one, SQLServer(tmp_path / "two", port=port, routes_to=one.port):
        async with opening("state.sqlserver", one.settings) as open_one:
            with pytest.raises(StoreRefusedError, match="again and again"):
                await open_one("v1")


async def test_whoever_may_make_nothing_is_told_what_to_run(server: SQLServer, open_store, database: str) -> None:
    limited = {"connectionString": connection_string(server.port, user=LIMITED)}
    with pytest.raises(StoreRefusedError, match=rf"have somebody run.*CREATE DATABASE \[{database}\].*GRANT SELECT"):
        await open_store(**limited)
    await open_store()
    assert await serves(await open_store(**limited))
    with pytest.raises(StoreRefusedError, match=r"CREATE TABLE \[shop\]\.\[state\].*BinaryData"):
        await open_store("v2", schemaName="shop", **limited)


async def test_a_database_that_the_connection_string_names_is_not_made(server: SQLServer, open_store) -> None:
    with pytest.raises(StoreRefusedError, match="has no such database"):
        await open_store(connectionString=connection_string(server.port, "database=missing"))
