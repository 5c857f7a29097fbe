"""How secret stores sign in to AWS, and what they say when AWS refuses, hangs or talks nonsense (on a fake)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from servers.http_fake import HttpFake, Query, running
from servers.moto_server import MotoServer
from servers.secret_servers import read, read_all

from pannier_sidecar.network import answers
from pannier_sidecar.secret_reader import SecretMissingError, SecretStoreFailedError, SecretStoreSilentError

MANAGER, PARAMETERS = "secretstores.aws.secretmanager", "secretstores.aws.parameterstore"
KEYS = {"accessKey": "AKIDFIRST", "secretKey": "s3cret-canary"}
ROLE = "arn:aws:iam::123456789012:role/shop"
CANARY = "s3cret-canary"


class AwsFake(HttpFake):
    """Answers every call of Secrets Manager with one secret."""

    def reply(self, method: str, path: str, query: Query, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        return 200, {"Name": "redis", "SecretString": "x", "SecretList": [], "ARN": "a"}

    @property
    def access_key(self) -> str:
        """That of the last request."""
        found = re.search(r"Credential=(\w+)/", self.headers[-1]["authorization"])
        assert found is not None
        return found[1]


@pytest.fixture
def fake() -> Iterator[AwsFake]:
    with running(AwsFake()) as running_fake:
        yield running_fake


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No credentials of the machine that runs the tests."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def fields(fake: AwsFake, **more: str) -> dict[str, str]:
    return {"region": "eu-central-1", "endpoint": fake.url, "timeout": "30s", **more}


def test_the_keys_of_the_component_go_first(fake: AwsFake, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_ACCESS_KEY_ID", "AKIDOTHER")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "s")
    read(MANAGER, fields(fake, sessionToken="t", **KEYS), "redis")
    assert fake.access_key == "AKIDFIRST"
    assert fake.headers[-1]["x-amz-security-token"] == "t"
    read(MANAGER, fields(fake), "redis")
    assert fake.access_key == "AKIDOTHER"


def test_a_profile_of_the_machine_is_used(fake: AwsFake, environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "AWS_SHARED_CREDENTIALS_FILE"
    file.write_text("[shop]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = s\n")
    environment.setenv("AWS_PROFILE", "shop")
    read(MANAGER, fields(fake), "redis")
    assert fake.access_key == "AKIDPROFILE"


def test_a_role_is_assumed_with_what_the_environment_has(
    fake: AwsFake, moto: MotoServer, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("AWS_ENDPOINT_URL_STS", moto.endpoint)
    token = tmp_path / "token"
    token.write_text("token-of-the-pod")
    environment.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    environment.setenv("AWS_ROLE_ARN", ROLE)
    read(MANAGER, fields(fake), "redis")  # the pod's role (IRSA)
    of_pod = fake.access_key
    read(MANAGER, fields(fake, assumeRoleArn=ROLE, sessionName="shop"), "redis")
    of_role = fake.access_key
    assert of_pod.startswith("ASIA") and of_role.startswith("ASIA") and of_pod != of_role
    assert "x-amz-security-token" in fake.headers[-1]


def test_a_role_that_may_not_be_assumed_is_named(fake: AwsFake, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_ACCESS_KEY_ID", "AKID")
    environment.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    with running(AwsFake()) as sts:
        environment.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        settings = fields(fake, assumeRoleArn=ROLE)
        body = f"<ErrorResponse><Error><Code>AccessDenied</Code><Message>{CANARY}</Message></Error></ErrorResponse>"
        sts.answer = (403, body.encode())
        with pytest.raises(SecretStoreFailedError, match="AWS did not let the role be assumed .AccessDenied.; check"):
            read(MANAGER, settings, "redis")
        sts.answer = (200, b"<html>")
        with pytest.raises(SecretStoreFailedError, match="is not AWS's"):
            read(MANAGER, settings, "redis")
    assert fake.paths == []


def test_what_is_missing_is_named(fake: AwsFake) -> None:
    with pytest.raises(SecretStoreFailedError, match="no AWS credentials were found; set accessKey and secretKey"):
        read(MANAGER, fields(fake), "redis")
    with pytest.raises(SecretStoreFailedError, match="no AWS region is known; set region"):
        read(PARAMETERS, KEYS, "redis")
    with pytest.raises(SecretStoreSilentError, match="cannot be reached: the connection is refused; check region and"):
        read(PARAMETERS, fields(fake, **KEYS, endpoint="http://127.0.0.1:1"), "redis")


def refusal(code: str) -> bytes:
    return json.dumps({"__type": code, "Message": CANARY, "message": CANARY}).encode()


WRONG: list[tuple[str, tuple[int, bytes], str, type[Exception]]] = [
    ("not JSON", (200, b"<html>"), "is not AWS's; check endpoint", SecretStoreFailedError),
    ("another shape", (200, b'{"Name": 1, "SecretString": [2]}'), "is not AWS's", SecretStoreFailedError),
    ("nothing", (200, b"{}"), "is not AWS's", SecretStoreFailedError),
    ("nested deeply", (200, b'{"Name": ' + b"[" * 100_000), "is not AWS's", SecretStoreFailedError),
    ("denied", (400, refusal("AccessDeniedException")), "refused get_.*allow it on 'redis'", SecretStoreFailedError),
    ("bad keys", (400, refusal("UnrecognizedClientException")), "check accessKey, secretKey", SecretStoreFailedError),
    ("no key", (400, refusal("DecryptionFailure")), "allow kms:Decrypt", SecretStoreFailedError),
    ("throttled", (400, refusal("ThrottlingException")), "limits the calls", SecretStoreSilentError),
    ("failing", (500, refusal("InternalServiceError")), "failed .InternalServiceError", SecretStoreSilentError),
    ("a strange code", (400, refusal(CANARY)), "refused get_", SecretStoreFailedError),
    ("a redirect", (307, b""), "refused|is not AWS's", SecretStoreFailedError),
]


@pytest.mark.parametrize("kind", [MANAGER, PARAMETERS])
def test_wrong_answers_become_errors_in_pannier_s_words(fake: AwsFake, kind: str, subtests: Any) -> None:
    for what, answer, words, error in WRONG:
        with subtests.test(what):
            fake.answer = answer
            with pytest.raises(error, match=words) as raised:
                read(kind, fields(fake, **KEYS), "redis")
            assert CANARY not in str(raised.value)
    fake.answer = (400, refusal("ResourceNotFoundException"))
    with pytest.raises(SecretMissingError, match="has no secret 'redis'"):
        read(kind, fields(fake, **KEYS), "redis")


def test_endless_lists_and_silence_end(fake: AwsFake, monkeypatch: pytest.MonkeyPatch) -> None:
    for listed in ([], [{"Name": "x"}] * 2000):
        fake.answer = (200, json.dumps({"SecretList": listed, "NextToken": "more"}).encode())
        with pytest.raises(SecretStoreFailedError, match="read secrets one by one"):
            read_all(MANAGER, fields(fake, **KEYS))
    fake.answer = (200, b'{"SecretList": [{"Name": 1}]}')
    with pytest.raises(SecretStoreFailedError, match="is not AWS's"):
        read_all(MANAGER, fields(fake, **KEYS))
    monkeypatch.setattr(answers, "limit", lambda: 1000)
    fake.answer = (200, b'{"Name": "redis", "SecretString": "' + b"x" * 2000 + b'"}')
    with pytest.raises(SecretStoreFailedError):
        read(MANAGER, fields(fake, **KEYS), "redis")
    fake.is_silent = True
    with pytest.raises(SecretStoreSilentError, match="did not answer within 0.3 s"):
        read(MANAGER, fields(fake, **KEYS, timeout="0.3s"), "redis")
