"""A small fake of HashiCorp Vault: key/value secrets of both versions, and the methods token, kubernetes and approle.

A real Vault can be had neither from Debian nor by building it in the time of a test run. So everything that is tested
against this fake is only as true as the fake; docs/components.md says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from servers.http_fake import HttpFake, Query, running


class VaultFake(HttpFake):
    """What the fake knows; tests change it while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[str, Any] = {}
        """The data of each secret by its whole path, such as `secret/dapr/redis`. None: it was deleted."""
        self.tokens = {"root"}
        self.issued = 0
        self.lease = 3600
        self.roles = {"kubernetes": {"role": "shop", "jwt": "pod-token"}, "approle": {"role_id": "r", "secret_id": "s"}}

    def reply(self, method: str, path: str, query: Query, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        path = path.removeprefix("/v1/")
        for name, role in self.roles.items():
            if path == f"auth/{name}/login" and method == "POST":
                return self._sign_in(json.loads(body) == role)
        if headers.get("x-vault-token", "") not in self.tokens:
            return 403, {"errors": ["permission denied"]}
        engine, _, rest = path.partition("/")
        if engine == "kv1":
            return self._listed(path) if "list" in query else self._found(path, lambda data: {"data": data})
        kind, _, name = rest.partition("/")
        whole = f"{engine}/{name}"
        if kind == "metadata" and "list" in query:
            return self._listed(whole)
        if kind != "data":
            return 404, {"errors": []}
        version = query.get("version", ["0"])[0]
        if version not in ("0", "1"):
            return 404, {"errors": []}
        return self._found(whole, lambda data: {"data": {"data": data, "metadata": {"version": 1}}})

    def _sign_in(self, is_right: bool) -> tuple[int, Any]:
        if not is_right:
            return 400, {"errors": ["invalid role or secret"]}
        self.issued += 1
        token = f"issued-{self.issued}"
        self.tokens.add(token)
        return 200, {"auth": {"client_token": token, "lease_duration": self.lease, "renewable": True}}

    def _found(self, path: str, wrap: Any) -> tuple[int, Any]:
        if path not in self.secrets:
            return 404, {"errors": []}
        data = self.secrets[path]
        return (404 if data is None else 200), wrap(data)

    def _listed(self, path: str) -> tuple[int, Any]:
        folder = path.rstrip("/") + "/"
        below = {name.removeprefix(folder) for name in self.secrets if name.startswith(folder)}
        keys = sorted({name.partition("/")[0] + ("/" if "/" in name else "") for name in below})
        return (200, {"data": {"keys": keys}}) if keys else (404, {"errors": []})


def vault() -> AbstractContextManager[VaultFake]:
    """Run the fake on a free port of the loopback interface."""
    return running(VaultFake())
