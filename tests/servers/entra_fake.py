"""A fake of Entra ID whose tokens have claims, and are made known to the databases that must take them.

Entra ID itself cannot be had. So what is tested against this fake is only as true as the fake; the docs say so.
"""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import json
from servers.azure_fake import CLIENT, SECRET, TENANT, AzureFake
from servers.http_fake import Query, running, tls_context
from servers.redis_server import Certificates, make_certificates

APP = {"azureTenantId": TENANT, "azureClientId": CLIENT, "azureClientSecret": SECRET}
"""The fields of a component that signs in as an application."""
OBJECT = "0f8fad5b-d9cb-469f-a165-70867728950e"
"""The id of the application's object in the tenant."""


class EntraFake(AzureFake):
    """Gives tokens for as long as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.audience = "https://storage.azure.com"
        self.life = 3600
        """Seconds."""
        self.claims: dict[str, object] = {"oid": OBJECT}
        self.on_token: Callable[[str, int], object] = lambda token, seconds: None
        """Called with each token before it is given, and for how many seconds databases must take it."""

    def reply(self, method: str, path: str, query: Query, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        if path.endswith("/.well-known/openid-configuration"):  # for clients that discover where to sign in
            at = f"{self.url}/{TENANT}"
            ways = {
                "token_endpoint": f"{at}/oauth2/v2.0/token",
                "authorization_endpoint": f"{at}/oauth2/v2.0/authorize",
            }
            return 200, {"issuer": f"{at}/v2.0", **ways}
        return super().reply(method, path, query, headers, body)

    def _sign_in(self, given: dict[str, str]) -> tuple[int, Any]:
        status, answer = super()._sign_in(given)
        if status == 200 and isinstance(answer, dict):
            now = int(time.time())
            times = {"iat": now - 60, "nbf": now - 60, "exp": now + self.life}
            claims = {"iss": f"https://sts.windows.net/{TENANT}/", "aud": self.audience, **times, **self.claims}
            token = f"{_part({'alg': 'none'})}.{_part(claims)}.{len(self.sign_ins):08}"
            self.on_token(token, self.life + 2)  # clients count whole seconds, from when they have it
            answer |= {"access_token": token, "expires_in": self.life, "expires_on": str(now + self.life)}
            self.tokens[-1] = token
        return status, answer


def _part(content: Mapping[str, object]) -> str:
    return urlsafe_b64encode(json.encode(content)).decode().rstrip("=")


@contextmanager
def entra(certificates: Certificates, environment: pytest.MonkeyPatch) -> Iterator[EntraFake]:
    """Run the fake as the place where this process signs in, and hide what identity its machine has."""
    for name in ("AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "IDENTITY_ENDPOINT"):
        environment.delenv(name, raising=False)
    environment.setenv("SSL_CERT_FILE", certificates.path("ca.crt"))
    with running(EntraFake(), tls_context(certificates)) as fake:
        environment.setenv("AZURE_AUTHORITY_HOST", fake.url)
        yield fake


@contextmanager
def signing_in(folder: Path, environment: pytest.MonkeyPatch) -> Iterator[tuple[EntraFake, Certificates]]:
    """Run the fake likewise, with the certificates of a server that clients trust."""
    certificates = make_certificates(folder / "tls")
    with entra(certificates, environment) as fake:
        yield fake, certificates
