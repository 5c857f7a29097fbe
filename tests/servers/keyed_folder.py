"""A components folder with a store that has encryption keys, and what Dapr's encrypted values look like."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from servers.places import Place

from pannier_sidecar.state.requests import Set

OLD = "00112233445566778899aabbccddeeff"
NEW = "f0e1d2c3b4a5968778695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0f"
KEYS = {"old": OLD, "new": NEW}


class KeyedFolder:
    """A components folder with a store that has keys, and a file of secrets."""

    def __init__(self, path: Path, place: Place):
        path.mkdir()
        self.path = path
        self.place = place
        self._secrets = path.parent / f"{path.name}.json"
        self.secrets(**KEYS)
        vault = {"name": "secretsFile", "value": str(self._secrets)}
        self._write("vault", "secretstores.local.file", [vault])

    def secrets(self, **secrets: str) -> None:
        self._replace(self._secrets, secrets)

    def store(self, primary: str | None, secondary: str | None = None, further: str | None = None, **more: str) -> Path:
        """Write the store's component with keys from these secrets."""
        items: list[dict[str, Any]] = [
            {"name": name, "value": str(value)}
            for name, value in {**self.place.settings, "actorStateStore": "true", **more}.items()
        ]
        fields = ("primaryEncryptionKey", "secondaryEncryptionKey", "decryptionKeys")
        for field, secret in zip(fields, (primary, secondary, further), strict=True):
            if secret is not None:
                items.append({"name": field, "secretKeyRef": {"name": secret}})
        return self._write("statestore", self.place.store_type, items)

    def _write(self, name: str, kind: str, items: list[dict[str, Any]]) -> Path:
        head = {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": name}}
        file = self.path / f"{name}.yaml"
        self._replace(file, {**head, "spec": {"type": kind, "version": "v1", "metadata": items}})
        return file

    def _replace(self, file: Path, content: object) -> None:
        fresh = file.with_name(f".{file.name}")
        fresh.write_text(json.dumps(content))
        fresh.replace(file)

    def stored(self) -> dict[str, bytes]:
        return asyncio.run(self.place.values())

    def put(self, key: str, value: bytes) -> None:
        asyncio.run(self.place.save(Set(key, value)))


def by_dapr(secret: str, value: bytes, name: str) -> bytes:
    """A value as Dapr 1.18 stores it, made without Pannier's code."""
    nonce = os.urandom(12)
    return base64.b64encode(nonce + AESGCM(bytes.fromhex(secret)).encrypt(nonce, value, None)) + b"||" + name.encode()


def read_by_dapr(secret: str, data: bytes) -> tuple[bytes, str]:
    body, _, name = data.decode("ascii").rpartition("||")
    sealed = base64.b64decode(body, validate=True)
    return AESGCM(bytes.fromhex(secret)).decrypt(sealed[:12], sealed[12:], None), name
