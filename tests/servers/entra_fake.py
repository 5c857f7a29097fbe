"""Entra ID as a fake of ours, for an Azurite that takes its tokens."""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import json
from servers.azure_fake import CLIENT, SECRET, TENANT, AzureFake
from servers.http_fake import running, tls_context
from servers.redis_server import Certificates, make_certificates

APP = {"azureTenantId": TENANT, "azureClientId": CLIENT, "azureClientSecret": SECRET}
"""The fields of the application that it signs in."""


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


@contextmanager
def signing_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[EntraFake, Certificates]]:
    """Run it where clients look for Entra ID, with the certificates of a server that they trust."""
    certificates = make_certificates(folder / "tls")
    for name in ("AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "IDENTITY_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", certificates.path("ca.crt"))
    with running(EntraFake(), tls_context(certificates)) as entra:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", entra.url)
        yield entra, certificates
