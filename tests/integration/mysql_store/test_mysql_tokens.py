"""MariaDB takes tokens as passwords: each ends, and none is used after that. Entra ID is a fake of ours."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from integration.mysql_store.mysql_packets import greeting, packet
from servers.entra_fake import APP, EntraFake, entra
from servers.http_fake import tls_context
from servers.mysql_server import MySQLServer, running
from servers.opened_store import OpenStore
from servers.redis_server import Certificates, make_certificates

from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.state.requests import Get, Set

USER = "shop"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def encrypted(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MySQLServer]:
    """A server that takes the user by TLS alone."""
    folder = Path("/tmp") / f"pannier-mysql-tls-{tmp_path_factory.mktemp('x').parent.name}"
    shutil.copytree(certificates.folder, folder)
    for path in (folder, *folder.iterdir()):  # its user may not enter the folders of the tests
        path.chmod(0o755)
    files = (f"--ssl-cert={folder / 'server.crt'}", f"--ssl-key={folder / 'server.key'}")
    try:
        with running(tmp_path_factory.mktemp("encrypted"), *files) as server:
            server.sql(f"CREATE USER {USER} IDENTIFIED BY 'unknown' REQUIRE SSL")
            server.sql(f"GRANT ALL ON *.* TO {USER}")
            yield server
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def fake(certificates: Certificates, encrypted: MySQLServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[EntraFake]:
    with entra(certificates, monkeypatch) as running_fake:
        running_fake.on_token = lambda token, seconds: encrypted.sql(f"ALTER USER {USER} IDENTIFIED BY %s", token)
        yield running_fake


@pytest.fixture
def settings(encrypted: MySQLServer, certificates: Certificates) -> dict[str, Any]:
    where = encrypted.dsn(USER, "tls=custom")
    return {"connectionString": where, "pemPath": certificates.path("ca.crt"), "useAzureAD": True, **APP}


async def test_calls_go_on_while_tokens_end(
    fake: EntraFake, settings: dict[str, Any], open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    fake.life = 4
    store = await open_store(**settings, connectionMaxIdleTime=0.05)
    await store.set(Set("k", b"1"))
    while len(fake.sign_ins) < 4:  # connections are closed in the pauses, and others made
        found = await asyncio.gather(*(store.get(Get("k")) for _ in range(8)))
        assert all(each is not None for each in found)
        await asyncio.sleep(0.1)
    assert {each["scope"] for each in fake.sign_ins} == {"https://ossrdbms-aad.database.windows.net/.default"}
    assert not any(token in caplog.text for token in fake.tokens)


async def test_a_refused_token_is_replaced_once_and_not_shown(
    fake: EntraFake, settings: dict[str, Any], open_store: OpenStore
) -> None:
    fake.on_token = lambda token, seconds: None
    with pytest.raises(StoreRefusedError, match="the token is refused, and so is a new one; make the user") as caught:
        await open_store(**settings)
    assert len(fake.sign_ins) == 2
    assert not any(token in str(caught.value) for token in fake.tokens)


async def test_without_tls_no_token_is_fetched(fake: EntraFake, settings: dict[str, Any], open_store) -> None:
    for more in ("", "?tls=preferred", "?tls=false"):
        with pytest.raises(StoreRefusedError, match="a token is never sent without TLS; write tls=true"):
            await open_store(**{**settings, "connectionString": f"{USER}@tcp(127.0.0.1:1)/{more}"})
    assert fake.sign_ins == []


@pytest.mark.parametrize("speaks_tls", [True, False])
async def test_a_token_is_sent_as_plain_text_by_tls_alone(
    speaks_tls: bool, fake: EntraFake, settings: dict[str, Any], certificates: Certificates, open_store: OpenStore
) -> None:
    """Servers of the clouds ask for mysql_clear_password. This one is a fake that asks, and listens."""
    fake.on_token = lambda token, seconds: None
    plain, encrypted = bytearray(), bytearray()

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            writer.write(greeting(b"mysql_clear_password", speaks_tls=speaks_tls))
            plain.extend(await reader.readexactly(36) if speaks_tls else await reader.read(65536))
            if speaks_tls:
                await writer.start_tls(tls_context(certificates))
                encrypted.extend(await reader.read(65536))
                writer.write(packet(3, b"\xfemysql_clear_password\0"))
                encrypted.extend(await reader.read(65536))
        writer.close()

    async with await asyncio.start_server(ask, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        settings["connectionString"] = f"{USER}@tcp(127.0.0.1:{port})/?tls=custom"
        with pytest.raises(Exception, match="offers no TLS|cannot be reached"):
            await open_store(**settings, timeout=5.0)
    tokens = [token.encode() for token in fake.tokens]
    assert not any(token in plain for token in tokens)
    assert any(token in encrypted for token in tokens) is speaks_tls
