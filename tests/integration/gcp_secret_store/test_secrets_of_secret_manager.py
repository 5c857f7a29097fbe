"""Secrets of Google Cloud's Secret Manager are read, with each way to sign in, and within limits (on a fake)."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from servers.gcp_fake import PROJECT, GcpFake
from servers.http_fake import running
from servers.rotated_secret import NEW, rotated, serving
from servers.secret_servers import read, read_all, using

from pannier_sidecar.clouds import gcp
from pannier_sidecar.network import answers
from pannier_sidecar.secret_reader import SecretMissingError, SecretStoreFailedError, SecretStoreSilentError
from pannier_sidecar.secret_stores.server import SecretServer

KIND = "secretstores.gcp.secretmanager"
CANARY = "s3cret-canary"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("key") / "key.pem"
    made = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(file)]
    subprocess.run(made, check=True, capture_output=True)
    return file.read_text()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[GcpFake]:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "none"))
    monkeypatch.setattr("google.auth.compute_engine._metadata._NO_GCE_CHECK", True)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with running(GcpFake()) as fake:
        fake.secrets = {"redis": [b"old", CANARY.encode()], "port": [b"6379"], "off": [None], "store": [b"\xff"]}
        yield fake


def fields(fake: GcpFake, key: str, **more: str) -> dict[str, str]:
    account = {"private_key_id": "1", "private_key": key, "client_email": "shop@x", "token_uri": f"{fake.url}/token"}
    return {"project_id": PROJECT, "endpoint": fake.url, "timeout": "30s", **account, **more}


def test_secrets_are_read_by_name_and_version(fake: GcpFake, key: str) -> None:
    assert read(KIND, fields(fake, key), "redis") == {"redis": CANARY}
    assert read(KIND, fields(fake, key.replace("\n", "\\n")), "redis", version_id="1") == {"redis": "old"}
    fake.page = 1
    ours = {f"projects/99/secrets/{name}": text for name, text in (("redis", CANARY), ("port", "6379"))}
    assert read_all(KIND, fields(fake, key)) == {name: {name: text} for name, text in ours.items()}
    for name, version, words in (
        ("nothing", "", "project shop-123 has no secret 'nothing'"),
        ("redis", "7", "has no secret 'redis' or no such version"),
        ("off", "", "is disabled or destroyed"),
        ("store", "", "is binary; store it as text"),
    ):
        with pytest.raises(SecretMissingError, match=words):
            read(KIND, fields(fake, key), name, version_id=version)
    calls = len(fake.paths)
    for name, version in (("../x", ""), ("a/b", ""), ("", ""), ("redis", "../x"), ("x" * 256, "")):
        with pytest.raises(SecretMissingError):
            read(KIND, fields(fake, key), name, version_id=version)
    assert len(fake.paths) == calls


def test_one_token_serves_many_calls(fake: GcpFake, key: str) -> None:
    async def use(server: SecretServer) -> None:
        await asyncio.gather(*(server.read("redis", {}) for _ in range(5)))
        assert len(fake.sign_ins) == 1
        fake.tokens.clear()
        with pytest.raises(SecretStoreFailedError, match="does not take the token .401."):
            await server.read("redis", {})

    using(KIND, fields(fake, key), use)


def test_the_credentials_of_the_environment_or_machine_sign_in(
    fake: GcpFake, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"project_id": PROJECT, "endpoint": fake.url, "timeout": "30s"}
    with pytest.raises(SecretStoreFailedError, match="no Google credentials were found; add private_key_id"):
        read(KIND, settings, "port")
    file = tmp_path / "account.json"
    account = {name: text for name, text in fields(fake, key).items() if name not in ("endpoint", "timeout")}
    file.write_text(json.dumps({"type": "service_account", **account}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    assert read(KIND, settings, "port") == {"port": "6379"}
    assert "assertion" in fake.sign_ins[-1]
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    monkeypatch.setattr("google.auth.compute_engine._metadata._NO_GCE_CHECK", False)
    monkeypatch.setattr("google.auth.compute_engine._metadata._GCE_METADATA_HOST", fake.url.removeprefix("http://"))
    monkeypatch.setenv("GCE_METADATA_IP", fake.url.removeprefix("http://"))
    assert read(KIND, settings, "port") == {"port": "6379"}
    assert fake.sign_ins[-1] == {}


def test_what_the_token_server_does_wrong_is_said_in_pannier_s_words(
    fake: GcpFake, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = {"error": "invalid_grant", "error_description": CANARY}
    for answer in ((400, refused), (200, {"x": CANARY}), (200, CANARY.encode()), (307, b"")):
        fake.refusal = answer
        with pytest.raises(
            SecretStoreFailedError, match="Google did not sign the sidecar in; check private_key"
        ) as raised:
            read(KIND, fields(fake, key), "redis")
        assert CANARY not in str(raised.value)
    monkeypatch.setattr(gcp, "_MAX_ANSWER", 100)
    fake.refusal = (200, b"x" * 1000)
    with pytest.raises(SecretStoreSilentError, match="token server cannot be reached"):
        read(KIND, fields(fake, key), "redis")
    with pytest.raises(SecretStoreSilentError, match="token server cannot be reached: the connection is refused"):
        read(KIND, fields(fake, key, token_uri="http://127.0.0.1:1/token"), "redis")
    with pytest.raises(SecretStoreFailedError, match="private_key or the file .* cannot be read") as raised:
        read(KIND, fields(fake, CANARY), "redis")
    assert CANARY not in str(raised.value)


WRONG = [
    ("not JSON", (200, b"<html>"), "is not Secret Manager's; check endpoint", SecretStoreFailedError),
    ("another shape", (200, b'{"payload": {"data": 1}}'), "is not Secret Manager's", SecretStoreFailedError),
    ("not base64", (200, b'{"payload": {"data": "!"}}'), "is not Secret Manager's", SecretStoreFailedError),
    ("nested deeply", (200, b'{"payload": ' + b"[" * 100_000), "is not Secret Manager's", SecretStoreFailedError),
    ("a bad token", (401, CANARY.encode()), "does not take the token", SecretStoreFailedError),
    ("denied", (403, CANARY.encode()), "Secret Manager Secret Accessor in project shop-123", SecretStoreFailedError),
    ("too busy", (429, CANARY.encode()), "cannot answer now .429", SecretStoreSilentError),
    ("failing", (500, CANARY.encode()), "cannot answer now .500", SecretStoreSilentError),
    ("a redirect", (307, b""), "refused .307.; check project_id and endpoint", SecretStoreFailedError),
]


def test_wrong_answers_become_errors_in_pannier_s_words(fake: GcpFake, key: str, subtests: Any) -> None:
    async def use(server: SecretServer) -> None:
        await server.read("redis", {})
        for what, answer, words, kind in WRONG:
            with subtests.test(what):
                fake.answer = answer
                with pytest.raises(kind, match=words) as raised:
                    await server.read("redis", {})
                assert CANARY not in str(raised.value)

    using(KIND, fields(fake, key), use)


def test_endless_lists_and_silence_end(fake: GcpFake, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def listed(server: SecretServer) -> None:
        await server.read("redis", {})
        for names in ((), ("x",), tuple(f"x{number}" for number in range(1001))):
            entries = [{"name": f"projects/99/secrets/{name}"} for name in names]
            fake.answer = (200, json.dumps({"secrets": entries, "nextPageToken": "again"}).encode())
            with pytest.raises(SecretStoreFailedError, match="read secrets one by one"):
                await server.read_all({})
        monkeypatch.setattr(answers, "limit", lambda: 1000)
        fake.answer = (200, json.dumps({"secrets": [{"name": "x" * 2000}]}).encode())
        with pytest.raises(SecretStoreSilentError, match="was lost"):
            await server.read_all({})

    using(KIND, fields(fake, key), listed)
    fake.is_silent = True
    with pytest.raises(
        SecretStoreSilentError, match="did not sign the sidecar in within|token server cannot be reached"
    ):
        read(KIND, fields(fake, key, timeout="1s"), "redis")


def test_a_password_is_rotated_without_a_failed_call(fake: GcpFake, key: str, tmp_path: Path) -> None:
    folder = tmp_path / "components"
    folder.mkdir()
    given = {**fields(fake, key), "refreshInterval": "200ms"}
    # so that Pannier.port() does not find the address in the log
    metadata = [{"name": name, "value": text} for name, text in given.items() if name != "endpoint"]
    metadata.append({"name": "endpoint", "envRef": "ENDPOINT"})
    spec = {"type": KIND, "version": "v1", "metadata": metadata}
    manifest = {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": "gcp"}, "spec": spec}
    (folder / "gcp.yaml").write_text(yaml.safe_dump(manifest))

    def put(password: str) -> None:
        fake.secrets["redis"] = [password.encode()]

    with serving(folder) as serve, rotated(folder, serve, "gcp", put, "redis", {"ENDPOINT": fake.url}) as pannier:
        assert json.loads(pannier.call("/v1.0/secrets/gcp/redis")[1]) == {"redis": NEW}
