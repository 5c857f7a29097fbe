"""Secrets of Azure Key Vault are read, with each way to sign in, and within limits (on a fake)."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from servers.azure_fake import CLIENT, SECRET, TENANT, AzureFake, page
from servers.http_fake import running, tls_context
from servers.redis_server import Certificates, make_certificates
from servers.rotated_secret import NEW, rotated, serving
from servers.secret_servers import closed, collect_connections, read, read_all, using

from pannier_sidecar.network import answers
from pannier_sidecar.secret_reader import SecretMissingError, SecretStoreFailedError, SecretStoreSilentError
from pannier_sidecar.secret_stores.server import SecretServer
from pannier_sidecar.stores.cosmosdb import client
from pannier_sidecar.stores.cosmosdb.settings import read_settings

# asyncio leaves a TLS connection whose other side does not answer to the garbage collector if its loop ends.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
KIND = "secretstores.azure.keyvault"
CANARY = "s3cret-canary"
APP = {"azureTenantId": TENANT, "azureClientId": CLIENT, "azureClientSecret": SECRET}


@pytest.fixture(autouse=True)
def leave_no_connection() -> Iterator[None]:
    yield
    collect_connections()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def fake(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureFake]:
    for name in ("AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "IDENTITY_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    with running(AzureFake(), tls_context(certificates)) as fake:
        fake.secrets = {"redis": ["old", CANARY], "port": ["6379"], "off": [None]}
        monkeypatch.setenv("SSL_CERT_FILE", certificates.path("ca.crt"))
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", fake.url)
        yield fake


def fields(fake: AzureFake, **more: str) -> dict[str, str]:
    return {"vaultUrl": fake.url, "timeout": "30s", **APP, **more}


def test_secrets_are_read_by_name_and_version(fake: AzureFake) -> None:
    assert read(KIND, fields(fake), "redis") == {"redis": CANARY}
    assert read(KIND, fields(fake), "redis", version_id="1") == {"redis": "old"}
    assert fake.sign_ins[0]["scope"] == "https://vault.azure.net/.default"
    fake.page = 1
    assert read_all(KIND, fields(fake)) == {"redis": {"redis": CANARY}, "port": {"port": "6379"}}
    for name, version in (("nothing", ""), ("redis", "7")):
        with pytest.raises(SecretMissingError, match="has no secret '(nothing|redis)' or no such version"):
            read(KIND, fields(fake), name, version_id=version)
    with pytest.raises(SecretStoreFailedError, match="Key Vault Secrets User.*see that 'off' is enabled"):
        read(KIND, fields(fake), "off")
    calls = len(fake.paths)
    for name, version in (("../keys/x", ""), ("a_b", ""), ("", ""), ("redis", "../x"), ("x" * 128, "")):
        with pytest.raises(SecretMissingError):
            read(KIND, fields(fake), name, version_id=version)
    assert len(fake.paths) == calls


def test_one_token_serves_many_calls(fake: AzureFake) -> None:
    async def use(server: SecretServer) -> None:
        await asyncio.gather(*(server.read("redis", {}) for _ in range(5)))
        assert len(fake.sign_ins) == 1
        fake.tokens.clear()
        with pytest.raises(SecretStoreFailedError, match="does not take the token .401.; check azureTenantId"):
            await server.read("redis", {})

    using(KIND, fields(fake), use)


def without_secret(fake: AzureFake, methods: str, **more: str) -> dict[str, str]:
    return {"vaultUrl": fake.url, "timeout": "30s", "azureAuthMethods": methods, **more}


def test_a_certificate_signs_in(fake: AzureFake, tmp_path: Path) -> None:
    pem, p12 = tmp_path / "app.pem", tmp_path / "app.p12"
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=app")
    subprocess.run([*new, "-keyout", tmp_path / "key", "-out", tmp_path / "crt"], check=True, capture_output=True)
    pem.write_text((tmp_path / "key").read_text() + (tmp_path / "crt").read_text())
    packed = ("openssl", "pkcs12", "-export", "-in", pem, "-out", p12, "-passout", "pass:s3cret-canary-p12")
    subprocess.run(packed, check=True, capture_output=True)
    own = {"azureTenantId": TENANT, "azureClientId": CLIENT}
    ways = (
        {"azureCertificateFile": str(pem)},
        {"azureCertificate": pem.read_text()},
        {"azureCertificateFile": str(p12), "azureCertificatePassword": "s3cret-canary-p12"},
    )
    for way in ways:
        assert read(KIND, without_secret(fake, "cert", **own, **way), "port") == {"port": "6379"}
        assert "client_assertion" in fake.sign_ins[-1]
    for wrong in (
        {"azureCertificate": CANARY},
        {"azureCertificateFile": str(tmp_path / CANARY)},
        {"azureCertificateFile": str(p12), "azureCertificatePassword": CANARY},
        {"azureCertificateFile": str(p12)},
    ):
        with pytest.raises(
            SecretStoreFailedError, match="azureCertificate or azureCertificateFile cannot be"
        ) as raised:
            read(KIND, without_secret(fake, "cert", **own, **wrong), "port")
        assert CANARY not in str(raised.value)


def test_the_identity_of_the_pod_or_machine_signs_in(
    fake: AzureFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("token-of-the-pod")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(file))
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    assert read(KIND, without_secret(fake, "workloadidentity,cli"), "port") == {"port": "6379"}
    assert fake.sign_ins[-1]["client_assertion"] == "token-of-the-pod"
    monkeypatch.delenv("AZURE_FEDERATED_TOKEN_FILE")
    with running(AzureFake()) as machine:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", machine.url)
        fake.tokens.append("token-1")
        assert read(KIND, without_secret(fake, "wi, mi"), "port") == {"port": "6379"}
        assert machine.sign_ins[-1]["resource"] == "https://vault.azure.net"


def test_the_user_of_the_command_line_signs_in_where_no_other_way_is_possible(
    fake: AzureFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SecretStoreFailedError, match="no Azure identity was found; set azureTenantId"):
        read(KIND, without_secret(fake, "creds,wi"), "port")
    program = tmp_path / "az"
    answer = {"accessToken": "token-of-az", "expires_on": 4102444800, "expiresOn": "2100-01-01 00:00:00.000000"}
    program.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    fake.tokens.append("token-of-az")
    assert read(KIND, without_secret(fake, "creds, wi, CLI"), "port") == {"port": "6379"}


def test_what_entra_id_refuses_is_said_in_pannier_s_words(fake: AzureFake) -> None:
    with pytest.raises(SecretStoreFailedError, match="did not sign the sidecar in .AADSTS7000215.; check") as raised:
        read(KIND, fields(fake, azureClientSecret=f"{CANARY}-wrong"), "redis")
    assert CANARY not in str(raised.value)
    fake.refusal = CANARY
    with pytest.raises(SecretStoreFailedError, match="did not sign the sidecar in; check azureTenantId") as raised:
        read(KIND, fields(fake), "redis")
    assert CANARY not in str(raised.value)


def test_answers_that_are_not_entra_id_s_are_errors_in_pannier_s_words(
    fake: AzureFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for answer in (b"<html>", b"{}", b"[1]", b"1", b'{"access_token": 1}', b'{"access_token": "x"}', b"[" * 100_000):
        fake.token_answer = answer
        with pytest.raises(SecretStoreFailedError, match="could not sign in|did not sign|cannot be reached"):
            read(KIND, fields(fake), "redis")
    for name, text in (("TENANT_ID", TENANT), ("CLIENT_ID", CLIENT), ("FEDERATED_TOKEN_FILE", str(tmp_path / "no"))):
        monkeypatch.setenv(f"AZURE_{name}", text)
    with pytest.raises(SecretStoreFailedError, match="the pod's token cannot be read; check"):
        read(KIND, without_secret(fake, "wi"), "redis")


def test_cosmos_db_signs_in_by_the_same_profile(fake: AzureFake) -> None:
    settings = read_settings({"url": "https://x", "database": "d", "collection": "c", **APP})

    async def token() -> str:
        async with AsyncExitStack() as resources:
            credential = await client._credential(settings, resources)
            found = (await credential.get_token("https://cosmos.azure.com/.default")).token
        await closed()
        return str(found)

    assert asyncio.run(token()) == "token-1"


WRONG = [
    ("not JSON", (200, b"<html>"), "is not Key Vault's; check vaultUrl", SecretStoreFailedError),
    ("another shape", (200, b'{"value": [1]}'), "is not Key Vault's", SecretStoreFailedError),
    ("nested deeply", (200, b'{"value": ' + b"[" * 100_000), "is not Key Vault's", SecretStoreFailedError),
    ("a bad token", (401, CANARY.encode()), "does not take the token|did not sign", SecretStoreFailedError),
    ("denied", (403, CANARY.encode()), "Key Vault Secrets User", SecretStoreFailedError),
    ("too busy", (429, CANARY.encode()), "cannot answer now .429", SecretStoreSilentError),
    ("failing", (500, CANARY.encode()), "cannot answer now .500", SecretStoreSilentError),
    ("a redirect", (307, b""), "refused .307.; check vaultUrl", SecretStoreFailedError),
]


def test_wrong_answers_become_errors_in_pannier_s_words(fake: AzureFake, subtests: Any) -> None:
    for what, answer, words, kind in WRONG:

        async def use(server: SecretServer, answer: tuple[int, bytes] = answer) -> None:
            await server.read("redis", {})
            fake.answer = answer
            await server.read("redis", {})

        with subtests.test(what):
            fake.answer = None
            with pytest.raises(kind, match=words) as raised:
                using(KIND, fields(fake), use)
            assert CANARY not in str(raised.value)


def test_endless_lists_and_silence_end(fake: AzureFake, monkeypatch: pytest.MonkeyPatch) -> None:
    again = f"{fake.url}/secrets?again"

    async def listed(server: SecretServer) -> None:
        await server.read("redis", {})
        for names in ((), ("x",), tuple(f"x{number}" for number in range(1001))):
            fake.answer = (200, page(*names, more=again))
            with pytest.raises(SecretStoreFailedError, match="read secrets one by one"):
                await server.read_all({})
        for more in ("https://evil.example/secrets?x", f"{fake.url}.evil.example/secrets?x", f"{fake.url}/keys?x"):
            fake.answer = (200, page(more=more))
            with pytest.raises(SecretStoreFailedError, match="is not Key Vault's"):
                await server.read_all({})
        monkeypatch.setattr(answers, "limit", lambda: 1000)
        fake.answer = (200, page("x" * 2000))
        with pytest.raises(SecretStoreSilentError, match="was lost"):
            await server.read_all({})

    using(KIND, fields(fake), listed)
    fake.is_silent = True
    with pytest.raises(SecretStoreSilentError, match="Entra ID did not sign the sidecar in within 1 s"):
        read(KIND, fields(fake, timeout="1s"), "redis")


def test_a_vault_is_found_by_its_name_or_url(fake: AzureFake) -> None:
    for name, shown in (
        ("shop", "https://shop.vault.azure.net"),
        ("Shop.vault.azure.net", "https://shop.vault.azure.net"),
        ("https://shop.vault.azure.cn/", "https://shop.vault.azure.cn"),
    ):

        async def where(server: SecretServer, shown: str = shown) -> None:
            assert server._where == f"Key Vault at {shown}"  # type: ignore[attr-defined]
            assert server._scope == f"https://{shown.partition('.')[2]}/.default"  # type: ignore[attr-defined]

        using(KIND, {"vaultName": name}, where)


def test_a_password_is_rotated_without_a_failed_call(
    fake: AzureFake, certificates: Certificates, tmp_path: Path
) -> None:
    folder = tmp_path / "components"
    folder.mkdir()
    given = {**fields(fake), "refreshInterval": "200ms"}
    # so that Pannier.port() does not find the address in the log
    metadata = [{"name": name, "value": text} for name, text in given.items() if name != "vaultUrl"]
    metadata.append({"name": "vaultUrl", "envRef": "VAULT"})
    spec = {"type": KIND, "version": "v1", "metadata": metadata}
    manifest = {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": "azure"}, "spec": spec}
    (folder / "azure.yaml").write_text(yaml.safe_dump(manifest))

    def put(password: str) -> None:
        fake.secrets["redis"] = [password]

    place = {"VAULT": fake.url, "SSL_CERT_FILE": certificates.path("ca.crt"), "AZURE_AUTHORITY_HOST": fake.url}
    with serving(folder) as serve, rotated(folder, serve, "azure", put, "redis", place) as pannier:
        assert json.loads(pannier.call("/v1.0/secrets/azure/redis")[1]) == {"redis": NEW}
