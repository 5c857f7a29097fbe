"""Secrets of Vault are read in both versions of the engine, by each way to sign in, and within limits (on a fake)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import secret_servers
from servers.vault_fake import VaultFake, vault

from pannier_sidecar.network import answers
from pannier_sidecar.secret_reader import SecretMissingError, SecretStoreFailedError, SecretStoreSilentError
from pannier_sidecar.secret_stores.server import SecretServer

VAULT = "secretstores.hashicorp.vault"
CANARY = "s3cret-canary"


@pytest.fixture
def fake() -> Iterator[VaultFake]:
    with vault() as running:
        running.secrets = {
            "secret/dapr/redis": {"password": CANARY, "port": 6379, "ü": "ü"},
            "secret/dapr/team a/db": {"x": "1"},
            "secret/dapr/gone": None,
            "secret/other": {"x": "2"},
            "kv1/dapr/redis": {"password": CANARY},
        }
        yield running


def fields(fake: VaultFake, **metadata: str) -> dict[str, str]:
    return {"vaultAddr": fake.url, "vaultToken": "root", "timeout": "5s", **metadata}


def using(fake: VaultFake, use: Callable[[SecretServer], Awaitable[Any]], **metadata: str) -> Any:
    return secret_servers.using(VAULT, fields(fake, **metadata), use)


def read(fake: VaultFake, name: str, version: str = "0", **metadata: str) -> Any:
    return secret_servers.read(VAULT, fields(fake, **metadata), name, version_id=version)


def read_all(fake: VaultFake, **metadata: str) -> Any:
    return secret_servers.read_all(VAULT, fields(fake, **metadata))


def test_secrets_are_read_as_maps_and_as_texts_in_both_versions(fake: VaultFake) -> None:
    assert read(fake, "redis") == {"password": CANARY, "port": "6379", "ü": "ü"}
    assert read(fake, "redis", version="1")["port"] == "6379"
    text = read(fake, "redis", vaultValueType="text")["redis"]
    assert text.startswith("{") and CANARY in text
    assert read(fake, "redis", vaultKVVersion="1", enginePath="kv1") == {"password": CANARY}
    assert read(fake, "other", vaultKVUsePrefix="false") == {"x": "2"}
    assert fake.headers[0]["x-vault-request"] == "true"
    read(fake, "redis", vaultNamespace="shop/eu")
    assert fake.headers[-1]["x-vault-namespace"] == "shop/eu"
    every = read_all(fake)
    assert every == {"redis": {"password": CANARY, "port": "6379", "ü": "ü"}, "team a/db": {"x": "1"}}
    assert read_all(fake, vaultKVVersion="1", enginePath="kv1") == {"redis": {"password": CANARY}}


def test_a_name_does_not_lead_out_of_the_prefix(fake: VaultFake) -> None:
    for name in ("../other", "a/../../other", "", "a//b", "./redis", "/redis"):
        with pytest.raises(SecretMissingError):
            read(fake, name)
    assert fake.paths == []
    with pytest.raises(SecretMissingError):
        read(fake, "redis?version=1&x=%2e%2e")
    assert fake.paths == ["/v1/secret/data/dapr/redis%3Fversion%3D1%26x%3D%252e%252e?version=0"]
    with pytest.raises(SecretMissingError, match="has no secret 'gone'"):
        read(fake, "gone")


def test_a_token_file_is_read_at_each_call(fake: VaultFake, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("root\n")

    async def use(server: SecretServer) -> None:
        await server.read("redis", {})
        fake.tokens = {"next"}
        with pytest.raises(SecretStoreFailedError, match="refused \\(403\\)"):
            await server.read("redis", {})
        file.write_text("next")
        await server.read("redis", {})
        file.write_text("two\nlines")
        with pytest.raises(SecretStoreFailedError, match="vaultTokenMountPath holds no token"):
            await server.read("redis", {})

    using(fake, use, vaultToken="", vaultTokenMountPath=str(file))


@pytest.mark.parametrize("method", ["kubernetes", "approle"])
def test_a_method_signs_in_once_and_again_when_its_token_ends(fake: VaultFake, tmp_path: Path, method: str) -> None:
    file = tmp_path / "jwt"
    file.write_text("pod-token\n")
    chosen = {
        "kubernetes": {"vaultRole": "shop", "vaultServiceAccountTokenPath": str(file)},
        "approle": {"vaultRoleId": "r", "vaultSecretId": "s"},
    }[method]

    async def use(server: SecretServer) -> None:
        await asyncio.gather(*(server.read("redis", {}) for _ in range(5)))
        assert fake.issued == 1
        fake.tokens.discard("issued-1")  # revoked
        await asyncio.gather(*(server.read("redis", {}) for _ in range(5)))
        assert fake.issued == 2
        fake.lease = 1
        fake.tokens.discard("issued-2")
        await server.read("redis", {})
        await asyncio.sleep(1)
        await server.read("redis", {})
        assert fake.issued == 4
        fake.tokens.clear()
        fake.roles[method] = {}
        with pytest.raises(SecretStoreFailedError, match="refused \\(400\\)"):
            await server.read("redis", {})

    using(fake, use, vaultToken="", vaultAuthMethod=method, **chosen)


WRONG = [
    ("not JSON", (200, b"<html>"), "is not Vault", SecretStoreFailedError),
    ("another shape", (200, b'{"data": 1}'), "is not Vault", SecretStoreFailedError),
    ("a list as secret", (200, b'{"data": {"data": [1]}}'), "no JSON object", SecretStoreFailedError),
    ("nested deeply", (200, b'{"data": {"data": ' + b"[" * 100_000), "is not Vault", SecretStoreFailedError),
    ("not UTF-8", (200, b'{"data": {"data": {"a": "\xff"}}}'), "JSON object|is not Vault", SecretStoreFailedError),
    ("sealed", (503, CANARY.encode()), "sealed", SecretStoreSilentError),
    ("failing", (500, CANARY.encode()), "it failed", SecretStoreSilentError),
    ("refused", (403, CANARY.encode()), "policy", SecretStoreFailedError),
    ("a standby", (307, b""), "refers to another server", SecretStoreFailedError),
]


def test_wrong_answers_become_errors_in_pannier_s_words(fake: VaultFake, subtests: Any) -> None:
    for what, answer, words, kind in WRONG:
        with subtests.test(what):
            fake.answer = answer
            with pytest.raises(kind, match=words) as raised:
                read(fake, "redis")
            assert CANARY not in str(raised.value)
            with pytest.raises(SecretStoreFailedError):
                read_all(fake)


def test_endless_lists_and_silence_end(fake: VaultFake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.answer = (200, b'{"data": {"keys": ["a/"]}}')
    with pytest.raises(SecretStoreFailedError, match="read secrets one by one"):
        read_all(fake)
    fake.answer = (200, b'{"data": {"keys": [' + b",".join([b'"x"'] * 2000) + b"]}}")
    with pytest.raises(SecretStoreFailedError, match="read secrets one by one"):
        read_all(fake)
    monkeypatch.setattr(answers, "limit", lambda: 1000)
    with pytest.raises(SecretStoreSilentError, match="was lost"):
        read_all(fake)
    fake.is_silent = True
    with pytest.raises(SecretStoreSilentError, match="did not answer within 0.3 s"):
        read(fake, "redis", timeout="0.3s")


def test_a_server_that_is_not_there_is_named(fake: VaultFake) -> None:
    with pytest.raises(SecretStoreSilentError, match="cannot be reached: the connection is refused; check vaultAddr"):
        read(fake, "redis", vaultAddr="http://127.0.0.1:1")
    with pytest.raises(SecretStoreFailedError, match="no TLS with Vault"):
        read(fake, "redis", vaultAddr=fake.url.replace("http", "https"))
    with pytest.raises(SecretStoreFailedError, match="caCert cannot be used"):
        read(fake, "redis", vaultAddr="https://127.0.0.1:1", caCert="/no/such/file")
