"""Redis takes tokens as passwords, again on each live connection before they end. Entra ID is a fake of ours."""

from __future__ import annotations

import asyncio
import logging
import time
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
from servers.redis_server import Certificates, RedisServer, cluster, encrypted, make_certificates, single

from pannier_sidecar.state.errors import StoreError, StoreRefusedError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores.redis.resp import pack
from pannier_sidecar.stores.redis.store import RedisStore

RIGHTS = ("~*", "&*", "+@all")
KEYS = ("k", "l", "m", "n")
ENTRA = {"useEntraID": True, **APP}


class Tokens:
    """The tokens that servers take as passwords of a user. Those that have ended are refused from then on."""

    def __init__(self, *servers: RedisServer):
        self.admins = [server.client() for server in servers]
        self._ends: dict[str, float] = {}

    def take(self, token: str, seconds: int) -> None:
        now = time.monotonic()
        over = [f"<{old}" for old, ends_at in self._ends.items() if ends_at <= now]
        self._ends = {old: ends_at for old, ends_at in self._ends.items() if ends_at > now}
        self._ends[token] = now + seconds
        for admin in self.admins:
            admin.execute_command("ACL", "SETUSER", OBJECT, "on", f">{token}", *over, *RIGHTS)

    def connections(self) -> set[tuple[int, Any]]:
        """Return the server and the id of each connection of the user."""
        return {
            (number, each["id"])
            for number, admin in enumerate(self.admins)
            for each in admin.client_list()
            if each["user"] == OBJECT
        }

    def logins(self) -> int:
        return sum(admin.info("commandstats").get("cmdstat_auth", {}).get("calls", 0) for admin in self.admins)

    def refusals(self) -> list[Any]:
        return [each for admin in self.admins for each in admin.acl_log()]

    def forget(self) -> None:
        self._ends.clear()
        for admin in self.admins:
            admin.execute_command("ACL", "DELUSER", OBJECT)
            admin.acl_log_reset()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with single(tmp_path_factory.mktemp("redis"), "--requirepass", "secret", client={"password": "secret"}) as running:
        yield running


@pytest.fixture
def tokens(server: RedisServer) -> Iterator[Tokens]:
    found = Tokens(server)
    yield found
    found.forget()
    for admin in found.admins:
        admin.close()


@pytest.fixture
def fake(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Iterator[EntraFake]:
    with entra(certificates, monkeypatch) as running:
        yield running


async def called(store: RedisStore, until: Any) -> int:
    """Read and write until something is so; no call may fail. Return how many calls were made."""
    calls = 0
    while not until():
        await asyncio.gather(
            *(store.set(Set(key, b"1")) for key in KEYS),
            *(store.get(Get(key)) for key in KEYS),
            store.set(Set("s", b"1", strong=True)),
        )
        calls += 2 * len(KEYS) + 1
        await asyncio.sleep(0.005)
    return calls


async def rotated(fake: EntraFake, tokens: Tokens, settings: dict[str, Any]) -> None:
    """Have calls made while tokens end; the connections stay, and each of them is signed in with each token."""
    fake.life = 4
    fake.on_token = tokens.take
    async with opened(settings, **ENTRA) as store:
        await called(store, lambda: True)
        await called(store, iter((False, True)).__next__)
        before, logins = tokens.connections(), tokens.logins()
        known = len(fake.sign_ins)
        assert await called(store, lambda: len(fake.sign_ins) >= known + 3)
        fake.life = 3600
        assert tokens.connections() == before
        assert tokens.logins() >= logins + 2 * len(before)
        assert tokens.refusals() == []
    assert {each["scope"] for each in fake.sign_ins} == {"https://redis.azure.com/.default"}


async def test_live_connections_are_signed_in_again_without_a_failed_call(
    fake: EntraFake, server: RedisServer, tokens: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pannier_sidecar")
    await rotated(fake, tokens, server.settings)
    assert not any(token in caplog.text for token in fake.tokens)


async def test_so_are_those_to_the_nodes_of_a_cluster(fake: EntraFake, tmp_path: Path) -> None:
    with cluster(tmp_path) as found:
        await rotated(fake, Tokens(*found.nodes), found.settings)


async def test_tls_and_a_token(fake: EntraFake, certificates: Certificates, tmp_path: Path) -> None:
    with encrypted(tmp_path / "redis", certificates) as server:
        fake.on_token = Tokens(server).take
        settings = {**server.settings, "enableTLS": True, "caCert": certificates.path("ca.crt")}
        async with opened(settings, **ENTRA) as store:
            await store.set(Set("k", b"1"))


async def test_a_revoked_token_is_replaced_at_once(fake: EntraFake, server: RedisServer, tokens: Tokens) -> None:
    fake.on_token = tokens.take
    async with opened(server.settings, **ENTRA) as store:
        await store.set(Set("k", b"1"))
        tokens.forget()  # Redis ends the connections of a user that it deletes
        found = await asyncio.gather(*(store.get(Get("k")) for _ in range(50)))
        assert all(each is not None for each in found)
    assert len(fake.sign_ins) == 2


async def test_a_server_that_wants_a_login_gets_one_without_a_failed_call(
    fake: EntraFake, server: RedisServer, tokens: Tokens
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
    fake: EntraFake, server: RedisServer, tokens: Tokens
) -> None:
    fake.on_token = tokens.take
    async with opened(server.settings, **ENTRA) as store:
        await store.set(Set("k", b"1"))
        fake.refusal = "AADSTS90033: down"
        tokens.admins[0].client_kill_filter(user=OBJECT)
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
    is_serverless: bool, server: RedisServer, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
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
