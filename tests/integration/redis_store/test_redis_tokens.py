"""Redis takes tokens as passwords, again on each live connection before they end. Entra ID is a fake of ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.auth
import botocore.session
import pytest
from botocore.signers import RequestSigner
from servers.entra_fake import APP, OBJECT, EntraFake, entra
from servers.opened_redis import opened
from servers.opened_store import refusal_of
from servers.redis_logins import Logins, called, called_once
from servers.redis_server import (
    Certificates,
    RedisServer,
    cluster,
    encrypted,
    make_certificates,
    single,
    watched_by_sentinels,
)

from pannier_sidecar.state.errors import StoreError, StoreRefusedError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores.redis.resp import pack
from pannier_sidecar.stores.redis.store import RedisStore

ENTRA = {"useEntraID": True, **APP}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with single(tmp_path_factory.mktemp("redis"), "--requirepass", "secret", client={"password": "secret"}) as running:
        yield running


@pytest.fixture
def tokens(server: RedisServer) -> Iterator[Logins]:
    found = Logins(OBJECT, server)
    yield found
    found.forget()
    found.close()


@pytest.fixture
def fake(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Iterator[EntraFake]:
    with entra(certificates, monkeypatch) as running:
        yield running


async def rotated(fake: EntraFake, tokens: Logins, settings: dict[str, Any]) -> None:
    """Have calls made while tokens end; the connections stay, and each of them is signed in with each token."""
    fake.life = 4
    fake.on_token = tokens.take
    async with opened(settings, **ENTRA) as store:
        await called_once(store)
        before, logins = tokens.connections(), tokens.logins()
        known = len(fake.sign_ins)
        assert await called(store, lambda: len(fake.sign_ins) >= known + 3)
        fake.life = 3600
        assert tokens.connections() == before
        assert tokens.logins() >= logins + 2 * len(before)
        assert tokens.refusals() == []
    assert {each["scope"] for each in fake.sign_ins} == {"https://redis.azure.com/.default"}


async def test_live_connections_are_signed_in_again_without_a_failed_call(
    fake: EntraFake, server: RedisServer, tokens: Logins, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pannier_sidecar")
    await rotated(fake, tokens, server.settings)
    assert not any(token in caplog.text for token in fake.tokens)


async def test_so_are_those_to_the_nodes_of_a_cluster(fake: EntraFake, tmp_path: Path) -> None:
    with cluster(tmp_path) as found:
        await rotated(fake, Logins(OBJECT, *found.nodes), found.settings)


async def test_so_are_those_to_the_primary_that_sentinels_name(fake: EntraFake, tmp_path: Path) -> None:
    with watched_by_sentinels(tmp_path, password="secret") as found:
        await rotated(fake, Logins(OBJECT, found.primary, *found.replicas), found.settings)


async def test_tls_and_a_token(fake: EntraFake, certificates: Certificates, tmp_path: Path) -> None:
    with encrypted(tmp_path / "redis", certificates) as server:
        fake.on_token = Logins(OBJECT, server).take
        settings = {**server.settings, "enableTLS": True, "caCert": certificates.path("ca.crt")}
        async with opened(settings, **ENTRA) as store:
            await store.set(Set("k", b"1"))


async def test_a_revoked_token_is_replaced_at_once(fake: EntraFake, server: RedisServer, tokens: Logins) -> None:
    fake.on_token = tokens.take
    async with opened(server.settings, **ENTRA) as store:
        await store.set(Set("k", b"1"))
        tokens.forget()  # Redis ends the connections of a user that it deletes
        found = await asyncio.gather(*(store.get(Get("k")) for _ in range(50)))
        assert all(each is not None for each in found)
    assert len(fake.sign_ins) == 2


async def test_a_server_that_wants_a_login_gets_one_without_a_failed_call(
    fake: EntraFake, server: RedisServer, tokens: Logins
) -> None:
    fake.on_token = tokens.take
    async with opened(server.settings, **ENTRA) as store:
        connection = store._servers.connection(b"k")
        assert connection is not None
        connection.send(pack("RESET"), 1)
        results = await asyncio.gather(*(store.set(Set(f"k{n}", b"1")) for n in range(50)))
        assert results == [None] * 50
    assert len(fake.sign_ins) == 2


async def test_while_entra_id_is_down_the_old_token_serves(
    fake: EntraFake, server: RedisServer, tokens: Logins
) -> None:
    fake.on_token = tokens.take
    async with opened(server.settings, **ENTRA) as store:
        await store.set(Set("k", b"1"))
        fake.refusal = "AADSTS90033: down"
        tokens.end_connections()
        assert await store.get(Get("k")) is not None


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"oid": "another"}, "the token is refused, and so is a new one; make the identity a user of the cache"),
        ({}, r"the token of Entra ID names no object \(oid\)"),
        ({"oid": 7}, r"the token of Entra ID names no object \(oid\)"),
    ],
)
async def test_what_is_refused_says_what_to_change(
    claims: dict[str, object], words: str, fake: EntraFake, server: RedisServer
) -> None:
    fake.claims = claims
    found: StoreError = await refusal_of(RedisStore, {**server.settings, **ENTRA})
    assert type(found) is StoreRefusedError
    assert not any(token in str(found) for token in fake.tokens)
    with pytest.raises(StoreRefusedError, match=words):
        raise found


async def test_plain_text_to_another_machine_is_refused(fake: EntraFake) -> None:
    found = await refusal_of(RedisStore, {"redisHost": "redis.example", **ENTRA})
    assert "a token is never sent as plain text" in str(found)


@pytest.mark.parametrize("is_serverless", [False, True])
async def test_a_url_that_aws_credentials_signed_is_the_password(
    is_serverless: bool, server: RedisServer, tokens: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 11, 28, 6, 30, tzinfo=UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: now)
    session = botocore.session.Session()
    session.set_credentials("AKIDEXAMPLE", "s3cret")
    parameters = {"Action": "connect", "User": OBJECT, **({"ResourceType": "ServerlessCache"} if is_serverless else {})}
    signer = RequestSigner(
        botocore.model.ServiceId("elasticache"),
        "eu-central-1",
        "elasticache",
        "v4",
        session.get_credentials(),
        session.get_component("event_emitter"),
    )
    url = "https://shop/?" + "&".join(f"{name}={value}" for name, value in parameters.items())
    request = {"method": "GET", "url": url, "body": {}, "headers": {}, "context": {}}
    signed = signer.generate_presigned_url(
        request, operation_name="connect", expires_in=900, region_name="eu-central-1"
    )
    tokens.take(signed.removeprefix("https://"), 3600)
    keys = {"region": "eu-central-1", "accessKey": "AKIDEXAMPLE", "secretKey": "s3cret"}
    login = {"useAWSIAM": True, "redisUsername": OBJECT, "cacheName": "Shop", "isServerlessCache": is_serverless}
    async with opened(server.settings, **keys, **login) as store:
        await store.set(Set("k", b"1"))
