"""PostgreSQL takes tokens as passwords: each ends, and none is used after that. Entra ID is a fake of ours."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import botocore.auth
import botocore.session
import pytest
from servers.entra_fake import APP, EntraFake, entra
from servers.eventually import eventually
from servers.opened_store import OpenStore
from servers.postgresql_server import PostgreSQLServer, running
from servers.redis_server import Certificates, make_certificates

from pannier_sidecar.state.errors import StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Get, Set

USER = "shop"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def encrypted(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQLServer]:
    """A server that asks for a password as plain text over TLS, as those of the clouds do."""
    with running(tmp_path_factory.mktemp("encrypted")) as server:
        for name in ("server.crt", "server.key"):
            server.write(name, certificates.text(name))
        server.sql(f"CREATE ROLE {USER} LOGIN; GRANT ALL ON SCHEMA public TO {USER}")
        rules = f"hostssl all {USER} 127.0.0.1/32 password\nhost all {USER} 127.0.0.1/32 reject\n"
        server.write("pg_hba.conf", f"{rules}host all admin 127.0.0.1/32 trust\n")
        server.sql("ALTER SYSTEM SET ssl = on; SELECT pg_reload_conf()")
        yield server


@pytest.fixture
def fake(
    certificates: Certificates, encrypted: PostgreSQLServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EntraFake]:
    def take(token: str, seconds: int) -> None:
        """Have the role take this token, and no other, for so long."""
        until = f"format('ALTER ROLE {USER} VALID UNTIL %L', now() + interval '{seconds} s')"
        encrypted.sql(f"ALTER ROLE {USER} PASSWORD :'token'; SELECT {until} \\gexec", token=token)

    with entra(certificates, monkeypatch) as running_fake:
        running_fake.on_token = take
        yield running_fake


@pytest.fixture
def settings(encrypted: PostgreSQLServer, certificates: Certificates) -> dict[str, Any]:
    where = f"host=127.0.0.1 port={encrypted.port} user={USER} dbname=postgres sslmode=verify-full"
    return {"connectionString": where, "sslRootCert": certificates.path("ca.crt"), "timeout": 20.0}


async def test_calls_go_on_while_tokens_end(
    fake: EntraFake, settings: dict[str, Any], open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pannier_sidecar")
    fake.life = 4
    store = await eventually(lambda: open_store(**settings, **APP, useAzureAD=True, connectionMaxIdleTime=0.05))
    await store.set(Set("k", b"1"))
    calls = 0
    while len(fake.sign_ins) < 4:  # connections are closed in the pauses, and others made
        found = await asyncio.gather(*(store.get(Get("k")) for _ in range(8)))
        assert all(each is not None for each in found)
        calls += len(found)
        await asyncio.sleep(0.1)
    assert calls > 8
    assert {each["scope"] for each in fake.sign_ins} == {"https://ossrdbms-aad.database.windows.net/.default"}
    assert not any(token in caplog.text for token in fake.tokens)


async def test_a_connection_lives_longer_than_its_token(
    fake: EntraFake, settings: dict[str, Any], open_store: OpenStore
) -> None:
    fake.life = 1
    store = await eventually(lambda: open_store(**settings, **APP, useAzureAD=True, maxConns=1))
    await store.set(Set("k", b"1"))
    asked = len(fake.sign_ins)
    await asyncio.sleep(1.5)
    assert await store.get(Get("k")) is not None
    assert len(fake.sign_ins) == asked


async def test_a_revoked_token_is_replaced_at_once(
    fake: EntraFake, encrypted: PostgreSQLServer, settings: dict[str, Any], open_store: OpenStore
) -> None:
    store = await eventually(lambda: open_store(**settings, **APP, useAzureAD=True, connectionMaxIdleTime=0.05))
    asked = len(fake.sign_ins)
    encrypted.sql(f"ALTER ROLE {USER} PASSWORD 'another'")
    encrypted.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'")
    await asyncio.gather(*(store.get(Get("k")) for _ in range(8)))
    assert len(fake.sign_ins) == asked + 1


async def test_what_is_refused_says_what_to_change_and_shows_no_token(
    fake: EntraFake, encrypted: PostgreSQLServer, settings: dict[str, Any], open_store: OpenStore
) -> None:
    fake.on_token = lambda token, seconds: None
    encrypted.sql(f"ALTER ROLE {USER} PASSWORD 'another' VALID UNTIL 'infinity'")
    with pytest.raises(StoreRefusedError, match="the token is refused, and so is a new one; make the user") as caught:
        await open_store(**settings, **APP, useAzureAD=True)
    assert len(fake.sign_ins) == 2
    assert not any(token in str(caught.value) for token in fake.tokens)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"no JSON", "cannot be reached"),
        (b'{"token_type": "Bearer", "expires_in": 3600, "access_token": "a b"}', "could not sign in"),
        (b"[" + b" " * 10_000_000 + b"]", "did not sign the sidecar in"),
        (b'{"error": "invalid_client"}', "did not sign the sidecar in"),
    ],
)
async def test_nonsense_of_the_server_of_tokens_is_an_error_in_words(
    answer: bytes, words: str, fake: EntraFake, settings: dict[str, Any], open_store: OpenStore
) -> None:
    fake.token_answer = answer
    with pytest.raises((StoreRefusedError, StoreUnavailableError), match=words):
        await open_store(**settings, **APP, useAzureAD=True)


async def test_a_silent_server_of_tokens_ends_the_call_in_time(
    settings: dict[str, Any], open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"https://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(StoreUnavailableError, match="within 0.5 s|cannot be reached"):
            await open_store(**{**settings, "timeout": 0.5}, **APP, useAzureAD=True)


async def test_plain_text_to_another_machine_is_refused(settings: dict[str, Any], open_store: OpenStore) -> None:
    for more in ("sslmode=disable", "sslmode=disable hostaddr=10.0.0.1"):
        with pytest.raises(StoreRefusedError, match="a token is never sent as plain text"):
            await open_store(connectionString=f"host=db.example user=u {more}", **APP, useAzureAD=True)


async def test_a_url_that_aws_credentials_signed_is_the_password(
    encrypted: PostgreSQLServer, settings: dict[str, Any], open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 11, 28, 6, 30, tzinfo=UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: now)
    keys = {"region": "eu-central-1", "accessKey": "AKIDEXAMPLE", "secretKey": "s3cret"}
    client = botocore.session.Session().create_client(
        "rds", region_name="eu-central-1", aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s3cret"
    )
    token = client.generate_db_auth_token("127.0.0.1", encrypted.port, USER)
    encrypted.sql(f"ALTER ROLE {USER} PASSWORD :'token' VALID UNTIL 'infinity'", token=token)
    store = await eventually(lambda: open_store(**settings, **keys, useAWSIAM=True))
    await store.set(Set("k", b"1"))
    assert await store.get(Get("k")) is not None
