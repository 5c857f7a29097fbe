"""The keys of a component that encrypts its values."""

from __future__ import annotations

import hmac
from functools import cached_property

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_ID = b"pannier key id 1"
KEY_ID_BYTES = 8


class Key:
    """One key: its bytes are never shown, only its name is."""

    __slots__ = ("__dict__", "_secret", "dapr_name", "name")

    def __init__(self, secret: bytes, name: str, dapr_name: str):
        """Take 16, 24 or 32 bytes. `name` is for messages, empty for a key without one; `dapr_name` is what Dapr writes
        behind a value.
        """
        self._secret = secret
        self.name = name
        self.dapr_name = dapr_name

    def __repr__(self) -> str:
        return f"Key({self.name!r}, id={self.id.hex()})"

    @cached_property
    def id(self) -> bytes:
        """Eight bytes that belong to this key and do not give it away: its secret may be renamed."""
        return hmac.digest(self._secret, _KEY_ID, "sha256")[:KEY_ID_BYTES]

    @cached_property
    def aes(self) -> AESGCM:
        """AES-GCM with the key itself, as Dapr uses it."""
        return AESGCM(self._secret)

    def derived_aes(self, seed: bytes) -> AESGCM:
        """Return AES-256-GCM with a key that is derived from this one for one value."""
        return AESGCM(hmac.digest(self._secret, seed, "sha256"))
