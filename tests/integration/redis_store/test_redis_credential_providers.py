"""Redis takes the passwords that a credential provider of redis-py gives, again on live connections when they change.

Entra ID, for redis-entraid, is a fake of ours.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec import json
from servers.component_files import component
from servers.credential_providers import MODULE, Desk, clear_desk
from servers.entra_fake import APP, OBJECT, entra
from servers.opened_redis import opened
from servers.opened_store import refusal_of
from servers.pannier_process import Pannier
from servers.redis_logins import Logins, called, called_once
from servers.redis_server import RedisServer, cluster, make_certificates, single, watched_by_sentinels

from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores.redis.resp import pack
from pannier_sidecar.stores.redis.store import RedisStore

USER = "shop"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with single(tmp_path_factory.mktemp("redis"), "--requirepass", "secret", client={"password": "secret"}) as running:
        yield running


@pytest.fixture
def logins(server: RedisServer) -> Iterator[Logins]:
    found = Logins(USER, server)
    yield found
    found.forget()
    found.close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    found = clear_desk()
    yield found
    if found.hangs is not None:
        found.hangs.set()


def provided(name: str, **more: object) -> dict[str, Any]:
    return {"credentialProvider": f"{MODULE}:{name}", **more}


def change(desk: Desk, logins: Logins, number: int) -> None:
    """Change the password on the servers first, as one does; the last one is taken a little longer."""
    logins.take(f"password-{number}", 2)
    desk.answer = (USER, f"password-{number}")


async def rotated(desk: Desk, logins: Logins, settings: dict[str, Any], **provider: object) -> None:
    """Have calls made while passwords end; the connections stay, and each is signed in with each password."""
    change(desk, logins, 0)
    async with opened(settings, **provider) as store:
        await called_once(store)
        before, logged_in = logins.connections(), logins.logins()
        for number in range(1, 4):
            change(desk, logins, number)
            known = logins.logins()
            assert await called(store, lambda known=known: logins.logins() >= known + len(before))
        assert logins.connections() == before
        assert logins.logins() >= logged_in + 3 * len(before)
        assert logins.refusals() == []


@pytest.mark.parametrize("name", ["Blocking", "WithCoroutine", "Streaming"])
async def test_a_provider_is_asked_again_and_live_connections_are_signed_in_again(
    name: str, desk: Desk, server: RedisServer, logins: Logins, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider = provided(name, credentialProviderInterval=0.3)
    await rotated(desk, logins, server.settings, **provider)
    assert "password-" not in caplog.text
    assert desk.threads == {provider["credentialProvider"]}


async def test_so_are_those_to_the_nodes_of_a_cluster(desk: Desk, tmp_path: Path) -> None:
    with cluster(tmp_path) as found:
        logins = Logins(USER, *found.nodes)
        await rotated(desk, logins, found.settings, **provided("Blocking", credentialProviderInterval=0.3))
        logins.close()


async def test_so_are_those_behind_sentinels_also_after_a_failover(desk: Desk, tmp_path: Path) -> None:
    with watched_by_sentinels(tmp_path, password="secret") as found:
        logins = Logins(USER, found.primary, *found.replicas)
        provider = provided("Blocking", credentialProviderInterval=0.3)
        await rotated(desk, logins, found.settings, **provider)
        async with opened(found.settings, **provider) as store:
            await store.set(Set("k", b"1"))
            logins.take_only("password-9")
            desk.answer = (USER, "password-9")
            with found.sentinels[0].client() as sentinel:
                sentinel.execute_command("SENTINEL", "FAILOVER", "mymaster")
            port = found.primary_port
            await called_after(store, lambda: port() != found.primary.port)
            assert await store.get(Get("k")) is not None
        logins.close()


async def called_after(store: RedisStore, is_so: Callable[[], object]) -> None:
    """Return when something is so and a call succeeds after that: during a failover calls may fail."""
    async with asyncio.timeout(60):
        while True:
            was_so = is_so()
            try:
                await store.set(Set("k", b"2"))
            except Exception:
                await asyncio.sleep(0.05)
                continue
            if was_so:
                return


async def test_what_a_streaming_provider_calls_back_with_is_used_at_once(
    desk: Desk, server: RedisServer, logins: Logins
) -> None:
    change(desk, logins, 0)
    async with opened(server.settings, **provided("Streaming")) as store:
        await called_once(store)
        before = logins.connections()
        for number in range(1, 4):
            logins.take(f"pushed-{number}", 4)
            known = logins.logins()
            desk.push(USER if number < 3 else None, f"pushed-{number}", 3600)
            assert await called(store, lambda known=known: logins.logins() >= known + len(before))
        assert logins.connections() == before
        assert logins.refusals() == []
        asked = desk.asked
        logins.end_connections()
        assert await store.get(Get("k")) is not None
        assert desk.asked == asked  # the last token is known to live


async def test_a_provider_that_has_called_back_is_asked_before_its_token_ends(
    desk: Desk, server: RedisServer, logins: Logins
) -> None:
    change(desk, logins, 0)
    async with opened(server.settings, **provided("Streaming")) as store:
        await called_once(store)
        logins.take("pushed", 60)
        desk.push(USER, "pushed", 4)  # and then never again
        asked = desk.asked
        logins.take("asked", 60)
        desk.answer = (USER, "asked")
        await called(store, lambda: desk.asked > asked)
        logins.take_only("asked")
        logins.end_connections()
        assert await store.get(Get("k")) is not None


async def test_it_is_asked_for_each_connection_and_when_a_password_is_refused(
    desk: Desk, server: RedisServer, logins: Logins
) -> None:
    change(desk, logins, 0)
    async with opened(server.settings, **provided("Blocking")) as store:
        await store.set(Set("k", b"1"))
        asked = desk.asked
        logins.take_only("password-1")
        desk.answer = (USER, "password-1")
        logins.end_connections()
        assert await store.get(Get("k")) is not None
        assert desk.asked > asked
        assert logins.refusals() == []


async def test_a_server_that_wants_a_login_gets_one_without_a_failed_call(
    desk: Desk, server: RedisServer, logins: Logins
) -> None:
    change(desk, logins, 0)
    async with opened(server.settings, **provided("Blocking")) as store:
        connection = store._servers.connection(b"k")
        assert connection is not None
        connection.send(pack("RESET"), 1)
        results = await asyncio.gather(*(store.set(Set(f"k{n}", b"1")) for n in range(50)))
        assert results == [None] * 50


async def test_while_the_provider_fails_its_last_credentials_serve(
    desk: Desk, server: RedisServer, logins: Logins
) -> None:
    change(desk, logins, 0)
    async with opened(server.settings, **provided("Blocking", credentialProviderInterval=0.3)) as store:
        await store.set(Set("k", b"1"))
        asked, desk.answer = desk.asked, ValueError
        await called(store, lambda: desk.asked > asked)
        logins.end_connections()
        assert await store.get(Get("k")) is not None


async def test_a_provider_that_hangs_stops_no_call(desk: Desk, server: RedisServer, logins: Logins) -> None:
    change(desk, logins, 0)
    async with opened(
        server.settings, **provided("Blocking", credentialProviderInterval=0.3, dialTimeout=0.5)
    ) as store:
        await store.set(Set("k", b"1"))
        asked, desk.hangs = desk.asked, threading.Event()
        await called(store, lambda: desk.asked > asked)
        await called_once(store)
        desk.hangs.set()


async def test_a_password_alone_is_for_the_default_user(desk: Desk, server: RedisServer) -> None:
    desk.answer = ("secret",)
    arguments = json.encode({"role": "shop"}).decode()
    async with opened(server.settings, **provided("Blocking", credentialProviderArguments=arguments)) as store:
        await store.set(Set("k", b"1"))
    assert desk.arguments == {"role": "shop"}


async def test_a_refused_password_says_what_to_change(desk: Desk, server: RedisServer, logins: Logins) -> None:
    desk.answer = (USER, "s3cret")
    found = await refusal_of(RedisStore, {**server.settings, **provided("Blocking")})
    assert type(found) is StoreRefusedError
    assert str(found) == (
        "the provider's password is refused, and so is a new one; have credentialProvider give the user and the "
        "password that the server knows"
    )


async def test_redis_entraid_signs_in_and_again(server: RedisServer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        certificates = make_certificates(tmp_path / "tls")
        fake = stack.enter_context(entra(certificates, environment))
        environment.setenv("REQUESTS_CA_BUNDLE", certificates.path("ca.crt"))
        for name, value in zip(("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET"), APP.values(), strict=True):
            environment.setenv(f"AZURE_{name}", value)
        logins = Logins(OBJECT, server)
        fake.life = 4
        fake.on_token = logins.take
        arguments = {
            "scopes": ["https://redis.azure.com/.default"],
            "app_kwargs": {"disable_instance_discovery": True},  # it would ask Microsoft about the fake
        }
        provider = {
            "credentialProvider": "redis_entraid.cred_provider:create_from_default_azure_credential",
            "credentialProviderArguments": json.encode(arguments).decode(),
        }
        async with opened(server.settings, **provider) as store:
            await called_once(store)
            before, known = logins.connections(), len(fake.sign_ins)
            assert await called(store, lambda: len(fake.sign_ins) >= known + 3)
            fake.life = 3600
            assert logins.connections() == before
            assert logins.refusals() == []
        logins.forget()
        logins.close()
    assert {each["scope"] for each in fake.sign_ins} == {"https://redis.azure.com/.default"}
    await asyncio.to_thread(wait_for_the_end_of_threads)


def wait_for_the_end_of_threads() -> None:
    """A closed store leaves none of a provider's threads."""
    for thread in threading.enumerate():
        if "redis_entraid" in thread.name:
            thread.join(30)
            assert not thread.is_alive()


FROM_FILE = """
from pathlib import Path

from redis.credentials import CredentialProvider


class FromFile(CredentialProvider):
    def __init__(self, path):
        self._path = Path(path)

    def get_credentials(self):
        return "shop", self._path.read_text()
"""


def test_a_sidecar_with_a_class_of_the_users(server: RedisServer, logins: Logins, tmp_path: Path) -> None:
    password, folder = tmp_path / "password", tmp_path / "components"
    folder.mkdir()
    (tmp_path / "shop_credentials.py").write_text(FROM_FILE)
    provider = {
        "credentialProvider": "shop_credentials:FromFile",
        "credentialProviderArguments": json.encode({"path": str(password)}).decode(),
        "credentialProviderInterval": "300ms",
    }
    settings = {**server.settings, **provider}
    (folder / "orders.yaml").write_text(component("orders", "state.redis", settings))
    logins.take("password-0")
    password.write_text("password-0")
    environment = {"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)}
    serve = ("serve", "--app-id", "shop", "--http-port", "0", "--grpc-port", "0", "--components", folder)
    sidecar = Pannier(*serve, "--credential-providers", "shop_credentials:FromFile", environment=environment)
    try:
        assert sidecar.call("/v1.0/state/orders", "POST", '[{"key": "k", "value": 1}]')[0] == 201
        for number in (1, 2):
            logins.take(f"password-{number}")
            password.write_text(f"password-{number}")
            known = logins.logins()
            while logins.logins() == known:
                assert sidecar.call("/v1.0/state/orders/k") == (200, "1")
        logins.take_only("password-2")
        logins.end_connections()
        assert sidecar.call("/v1.0/state/orders/k") == (200, "1")
    finally:
        sidecar.process.terminate()
        assert sidecar.end() == 0
        sidecar.close()
    assert logins.refusals() == []
    assert "password-" not in sidecar.out + sidecar.err
    for verb, code, words in (
        (("run", "--components", folder), 1, "the sidecar's owner has not listed this class, so it is not loaded"),
        (("check", folder), 0, "1 component fine"),
    ):
        other = Pannier(*verb, environment=environment)
        assert other.end() == code
        assert words in other.out + other.err
        other.close()
