"""Signing in with Entra ID: the login is a fake of ours, and Azurite checks the token, but not who signed it."""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec import json
from servers.azure_fake import CLIENT, SECRET, TENANT, AzureFake
from servers.azurite import ACCOUNT
from servers.blobstorage_server import CONTAINER, running
from servers.http_fake import running as running_fake
from servers.http_fake import tls_context
from servers.opened_store import opened, refusal_of
from servers.redis_server import make_certificates

from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores.blobstorage.store import BlobStore

APP = {"azureTenantId": TENANT, "azureClientId": CLIENT, "azureClientSecret": SECRET}


class EntraFake(AzureFake):
    """Gives tokens of the form that Azure Storage wants."""

    audience = "https://storage.azure.com"

    def _sign_in(self, given: dict[str, str]) -> tuple[int, Any]:
        status, answer = super()._sign_in(given)
        if status == 200:
            now = int(time.time())
            times = {"iat": now - 60, "nbf": now - 60, "exp": now + 3600}
            claims = {"iss": f"https://sts.windows.net/{TENANT}/", "aud": self.audience, **times}
            answer["access_token"] = f"{_part({'alg': 'none'})}.{_part(claims)}.x"
        return status, answer


def _part(content: Mapping[str, object]) -> str:
    return urlsafe_b64encode(json.encode(content)).decode().rstrip("=")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[EntraFake, dict[str, Any]]]:
    """An account that takes tokens, and Entra ID."""
    certificates = make_certificates(tmp_path / "tls")
    for name in ("AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "IDENTITY_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", certificates.path("ca.crt"))
    with (
        running_fake(EntraFake(), tls_context(certificates)) as entra,
        running(tmp_path / "azurite", certificates) as server,
    ):
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", entra.url)
        place = {"accountName": ACCOUNT, "containerName": CONTAINER, "timeout": 30.0}
        yield entra, {**place, "endpoint": f"https://{server.address}"}


async def test_an_application_signs_in_once_for_many_calls(place: tuple[EntraFake, dict[str, Any]]) -> None:
    entra, settings = place
    async with opened(BlobStore({**settings, **APP})) as store:
        await store.set(Set("app||k", b"1"))
        found = await store.get(Get("app||k"))
        assert found is not None
        assert found.value == b"1"
        assert (await store.keys("app||", 10, None)).keys == ["app||k"]
    assert [each["scope"] for each in entra.sign_ins] == ["https://storage.azure.com/.default"]


async def test_a_login_or_a_token_that_is_refused_says_what_to_change(place: tuple[EntraFake, dict[str, Any]]) -> None:
    entra, settings = place
    wrong = await refusal_of(BlobStore, {**settings, **APP, "azureClientSecret": "letmein"})
    assert type(wrong) is StoreRefusedError
    assert "Entra ID did not sign the sidecar in (AADSTS7000215)" in str(wrong)
    assert "letmein" not in str(wrong)
    entra.audience = "https://vault.azure.net"
    foreign = await refusal_of(BlobStore, {**settings, **APP})
    assert type(foreign) is StoreRefusedError
    assert "the roles of an identity" in str(foreign)
