"""A small fake of Azure: Entra ID, the identity of a machine, and a Key Vault.

No emulator of Key Vault's secrets can be had. So everything that is tested against this fake is only as true as the
fake; docs/components.md says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from servers.http_fake import HttpFake, Query

TENANT, CLIENT, SECRET = "tenant-1", "client-1", "s3cret-canary-client"


_OF_MACHINES = {"expires_on": "4102444800", "resource": "r"}
"""What the identity of a machine is answered too."""


class AzureFake(HttpFake):
    """Signs in one application and every pod and machine, and serves them one vault."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[str, list[str | None]] = {}
        """The values of each secret, the newest last; None: it is disabled."""
        self.tokens: list[str] = []
        """Those that are valid."""
        self.sign_ins: list[dict[str, str]] = []
        """The fields of each request for a token."""
        self.page = 25
        self.refusal = ""
        """If set, Entra ID refuses with these words."""
        self.token_answer: bytes | None = None
        """If set, Entra ID answers so."""

    def reply(self, method: str, path: str, query: Query, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        if path.endswith(("/oauth2/v2.0/token", "/oauth2/token")):
            return self._sign_in({name: texts[0] for name, texts in (query | parse_qs(body.decode())).items()})
        if headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return 401, {"error": {"code": "Unauthorized"}}
        parts = path.strip("/").split("/")
        if parts == ["secrets"]:
            return self._listed(int(query.get("skip", ["0"])[0]))
        _, name, *version = parts
        values = self.secrets.get(name, [])
        number = int(version[0]) if version else len(values)
        if not 0 < number <= len(values):
            return 404, {"error": {"code": "SecretNotFound"}}
        if values[number - 1] is None:
            return 403, {"error": {"code": "Forbidden"}}
        return 200, {"value": values[number - 1], "id": f"{self.url}/secrets/{name}/{number}"}

    def _sign_in(self, given: dict[str, str]) -> tuple[int, Any]:
        self.sign_ins.append(given)
        if self.token_answer is not None:
            return 200, self.token_answer
        if self.refusal or given.get("client_secret", SECRET) != SECRET:
            words = self.refusal or f"AADSTS7000215: Invalid client secret {given['client_secret']}"
            return 401, {"error": "invalid_client", "error_description": words}
        self.tokens.append(f"token-{len(self.sign_ins)}")
        return 200, {"token_type": "Bearer", "expires_in": 3600, "access_token": self.tokens[-1]} | _OF_MACHINES

    def _listed(self, skip: int) -> tuple[int, Any]:
        names = sorted(self.secrets)
        some = names[skip : skip + self.page]
        entries = [
            {"id": f"{self.url}/secrets/{name}", "attributes": {"enabled": self.secrets[name][-1] is not None}}
            for name in some
        ]
        more = f"{self.url}/secrets?api-version=7.4&skip={skip + self.page}" if skip + self.page < len(names) else None
        return 200, {"value": entries, "nextLink": more}


def page(*names: object, more: str | None = None) -> bytes:
    """Return a page of a list of secrets."""
    return json.dumps({"value": [{"id": f"x/{name}"} for name in names], "nextLink": more}).encode()
