"""A small fake of Google Cloud: its token server, the metadata server of a machine, and Secret Manager.

No emulator of Secret Manager can be had that works. So everything that is tested against this fake is only as true as
the fake; docs/components.md says so.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from servers.http_fake import HttpFake, Query

PROJECT = "shop-123"
_SECRETS = f"/v1/projects/{PROJECT}/secrets"


class GcpFake(HttpFake):
    """Signs in everybody, and serves them the secrets of one project."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[str, list[bytes | None]] = {}
        """The versions of each secret, the newest last; None: it is disabled."""
        self.tokens: list[str] = []
        self.sign_ins: list[dict[str, str]] = []
        self.page = 100
        self.refusal: tuple[int, Any] | None = None
        """If set, the token server answers so."""

    def reply(self, method: str, path: str, query: Query, headers: Mapping[str, str], body: bytes) -> Any:
        machine = {"Metadata-Flavor": "Google"}
        if path in ("/", "/computeMetadata/v1/"):
            return 200, {}, machine
        if path.endswith("/service-accounts/default/"):
            return 200, {"email": "pod@x", "scopes": [], "aliases": []}, machine
        if path == "/token" or path.endswith("/token"):
            self.sign_ins.append({name: texts[0] for name, texts in parse_qs(body.decode()).items()})
            if self.refusal is not None:
                return self.refusal
            self.tokens.append(f"token-{len(self.sign_ins)}")
            return 200, {"access_token": self.tokens[-1], "expires_in": 3600, "token_type": "Bearer"}, machine
        if headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return 401, {"error": {"code": 401}}
        if path == _SECRETS:
            return self._listed(int(query.get("pageToken", ["0"])[0]))
        name, _, version = path.removeprefix(f"{_SECRETS}/").partition("/versions/")
        return self._accessed(name, version.removesuffix(":access"))

    def _listed(self, skip: int) -> tuple[int, Any]:
        names = sorted(self.secrets)
        found: dict[str, Any] = {
            "secrets": [{"name": f"projects/99/secrets/{name}"} for name in names[skip : skip + self.page]]
        }
        if skip + self.page < len(names):
            found["nextPageToken"] = str(skip + self.page)
        return 200, found

    def _accessed(self, name: str, version: str) -> tuple[int, Any]:
        versions = self.secrets.get(name, [])
        number = len(versions) if version == "latest" else int(version)
        if not 0 < number <= len(versions):
            return 404, {"error": {"status": "NOT_FOUND"}}
        data = versions[number - 1]
        if data is None:
            return 400, {"error": {"status": "FAILED_PRECONDITION"}}
        return 200, {"name": "projects/99/...", "payload": {"data": base64.b64encode(data).decode()}}
