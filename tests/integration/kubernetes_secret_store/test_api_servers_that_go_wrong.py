"""What the secret store of Kubernetes says when the API server or the files for signing in are wrong (on a fake).

tests/cluster/test_secrets_read_from_the_api_server.py reads from a real one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from servers.http_fake import HttpFake, Query, running, tls_context
from servers.redis_server import Certificates, make_certificates
from servers.secret_servers import collect_connections, read, read_all

from pannier_sidecar.network import answers
from pannier_sidecar.secret_reader import SecretMissingError, SecretStoreFailedError, SecretStoreSilentError

# asyncio leaves a TLS connection whose other side does not answer to the garbage collector if its loop ends.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
KIND = "secretstores.kubernetes"
CANARY = "s3cret-canary"


class ApiServer(HttpFake):
    """Has one Secret in each namespace."""

    def reply(self, method: str, path: str, query: Query, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        data = {"password": base64.b64encode(b"x").decode()}
        secret = {"metadata": {"name": "redis"}, "data": data}
        return 200, secret if path.endswith("/redis") else {"items": [secret]}


@pytest.fixture(autouse=True)
def leave_no_connection() -> Iterator[None]:
    yield
    collect_connections()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def fake(certificates: Certificates) -> Iterator[ApiServer]:
    with running(ApiServer(), tls_context(certificates)) as fake:
        yield fake


@pytest.fixture
def fields(fake: ApiServer, certificates: Certificates, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "ca.crt").write_text(certificates.text("ca.crt"))
    (tmp_path / "token").write_text("token-1\n")
    return {"apiServer": fake.url, "serviceAccountPath": str(tmp_path), "defaultNamespace": "shop", "timeout": "30s"}


def test_the_token_is_read_for_each_call_and_the_namespace_chosen(
    fake: ApiServer, fields: dict[str, str], tmp_path: Path
) -> None:
    assert read(KIND, fields, "redis") == {"password": "x"}
    (tmp_path / "token").write_text("token-2")
    read(KIND, fields, "redis", namespace="other")
    assert [each["authorization"] for each in fake.headers] == ["Bearer token-1", "Bearer token-2"]
    assert fake.paths == ["/api/v1/namespaces/shop/secrets/redis", "/api/v1/namespaces/other/secrets/redis"]
    (tmp_path / "namespace").write_text("own\n")
    read(KIND, {**fields, "defaultNamespace": ""}, "redis")
    assert "/own/" in fake.paths[-1]
    (tmp_path / "namespace").unlink()
    with pytest.raises(SecretStoreFailedError, match="no namespace is known; set defaultNamespace"):
        read(KIND, {**fields, "defaultNamespace": ""}, "redis")


def test_a_name_does_not_lead_to_another_path(fake: ApiServer, fields: dict[str, str]) -> None:
    for name in ("../x", "a/b", "", "A", "a?b", "a%2fb", "x" * 254):
        with pytest.raises(SecretMissingError, match="is no name of a Secret"):
            read(KIND, fields, name)
    for namespace in ("../x", "a/b", "a.b", "x" * 64):
        with pytest.raises(SecretMissingError, match="is no namespace"):
            read(KIND, fields, "redis", namespace=namespace)
    assert fake.paths == []


def list_of(*names: object, more: str = "") -> bytes:
    return json.dumps(
        {"items": [{"metadata": {"name": name}} for name in names], "metadata": {"continue": more}}
    ).encode()


WRONG = [
    ("not JSON", (200, b"<html>"), "is not a Kubernetes API server", SecretStoreFailedError),
    ("another shape", (200, b'{"metadata": {}, "data": [1]}'), "is not a Kubernetes", SecretStoreFailedError),
    ("nested deeply", (200, b'{"data": ' + b"[" * 100_000), "is not a Kubernetes", SecretStoreFailedError),
    (
        "no right",
        (403, CANARY.encode()),
        "let a Role allow 'get' on secrets in namespace 'shop'",
        SecretStoreFailedError,
    ),
    ("a bad token", (401, CANARY.encode()), "check serviceAccountPath or kubeconfigPath", SecretStoreFailedError),
    ("too busy", (429, CANARY.encode()), "cannot answer now .429", SecretStoreSilentError),
    ("failing", (500, CANARY.encode()), "cannot answer now .500", SecretStoreSilentError),
    ("a redirect", (307, b""), "refused .307.; check apiServer", SecretStoreFailedError),
    ("missing", (404, CANARY.encode()), "there is no Secret 'redis' in namespace 'shop'", SecretMissingError),
]


def test_wrong_answers_become_errors_in_pannier_s_words(fake: ApiServer, fields: dict[str, str], subtests: Any) -> None:
    for what, answer, words, kind in WRONG:
        with subtests.test(what):
            fake.answer = answer
            with pytest.raises(kind, match=words) as raised:
                read(KIND, fields, "redis")
            assert CANARY not in str(raised.value)
    fake.answer = (200, b'{"metadata": {"name": "redis"}, "data": {"a": "!", "b": "/w==", "c": "eA=="}}')
    assert read(KIND, fields, "redis") == {"c": "x"}


def test_endless_lists_and_silence_end(
    fake: ApiServer, fields: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for names in ((), ("x",), tuple(f"x{number}" for number in range(1001))):
        fake.answer = (200, list_of(*names, more="again"))
        with pytest.raises(SecretStoreFailedError, match="read secrets one by one"):
            read_all(KIND, fields)
    fake.answer = (200, list_of("x", more="&limit=1 HTTP/1.1"))
    with pytest.raises(SecretStoreFailedError, match="is not a Kubernetes API server"):
        read_all(KIND, fields)
    monkeypatch.setattr(answers, "limit", lambda: 1000)
    fake.answer = (200, list_of("x" * 2000))
    with pytest.raises(SecretStoreSilentError, match="was lost"):
        read_all(KIND, fields)
    fake.is_silent = True
    with pytest.raises(SecretStoreSilentError, match="did not answer within 0.3 s"):
        read(KIND, {**fields, "timeout": "0.3s"}, "redis")


def test_what_is_wrong_with_signing_in_is_named(fields: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(SecretStoreSilentError, match="the API server cannot be reached: .*; check apiServer"):
        read(KIND, {**fields, "apiServer": "https://127.0.0.1:1"}, "redis")
    with pytest.raises(SecretStoreFailedError, match="no TLS with the API server: .*; check serviceAccountPath"):
        read(KIND, {**fields, "apiServer": fields["apiServer"].replace("127.0.0.1", "localhost")}, "redis")
    (tmp_path / "token").write_text("two\nlines")
    with pytest.raises(SecretStoreFailedError, match="there is no token to send"):
        read(KIND, fields, "redis")
    (tmp_path / "token").unlink()
    with pytest.raises(
        SecretStoreFailedError, match="the token .serviceAccountPath.* cannot be read: there is no such file"
    ):
        read(KIND, fields, "redis")
    (tmp_path / "ca.crt").write_text(CANARY)
    with pytest.raises(SecretStoreFailedError, match="the certificates of serviceAccountPath cannot be used"):
        read(KIND, fields, "redis")


def kubeconfig(fake: ApiServer, certificates: Certificates, user: dict[str, Any]) -> dict[str, Any]:
    cluster = {"server": fake.url, "certificate-authority": certificates.path("ca.crt")}
    return {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "b", "user": "c", "namespace": "team"}}],
        "clusters": [{"name": "b", "cluster": cluster}],
        "users": [{"name": "c", "user": user}],
    }


def test_a_kubeconfig_is_read_and_its_mistakes_are_named(
    fake: ApiServer, certificates: Certificates, tmp_path: Path
) -> None:
    file = tmp_path / "config"
    fields = {"kubeconfigPath": str(file), "timeout": "30s"}
    file.write_text(yaml.safe_dump(kubeconfig(fake, certificates, {"token": "t"})))
    assert read(KIND, fields, "redis") == {"password": "x"}
    assert fake.headers[-1]["authorization"] == "Bearer t" and "/team/" in fake.paths[-1]
    file.write_text(yaml.safe_dump(kubeconfig(fake, certificates, {"token": f"{CANARY}\n"})))
    with pytest.raises(SecretStoreFailedError, match="there is no token to send"):
        read(KIND, fields, "redis")
    file.write_text(yaml.safe_dump(kubeconfig(fake, certificates, {"exec": {"command": "aws"}})))
    with pytest.raises(SecretStoreFailedError, match="signs in by a program, which is not run here; write a token"):
        read(KIND, fields, "redis")
    for text in (CANARY, "[", "{}", "contexts: [1]\ncurrent-context: a", "&a [*a]", "[" * 2000, "users: 1"):
        file.write_text(text)
        with pytest.raises(SecretStoreFailedError, match="is no kubeconfig; write") as raised:
            read(KIND, fields, "redis")
        assert CANARY not in str(raised.value)
    file.write_text(
        yaml.safe_dump(kubeconfig(fake, certificates, {"client-key-data": "!", "client-certificate-data": "!"}))
    )
    with pytest.raises(SecretStoreFailedError, match="is no kubeconfig"):
        read(KIND, fields, "redis")
