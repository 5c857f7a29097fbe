"""Dapr's format of an encrypted value: base64 of nonce, ciphertext and tag (AES-GCM), then `||` and the key's name."""

from __future__ import annotations

import json
import os
from binascii import Error, a2b_base64, b2a_base64
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.exceptions import InvalidTag

if TYPE_CHECKING:
    from .keys import Key

_SEPARATOR: Final = b"||"
_NONCE_BYTES: Final = 12
_SHORTEST: Final = _NONCE_BYTES + 16


class Sealed(NamedTuple):
    """The parts of a sealed value."""

    body: bytes
    key_name: str

    @property
    def is_too_short(self) -> bool:
        return len(self.body) < _SHORTEST


def seal(key: Key, value: bytes) -> bytes:
    """Return the sealed value. Dapr binds it to nothing, so it opens under any other key too."""
    nonce = os.urandom(_NONCE_BYTES)
    body = nonce + key.aes.encrypt(nonce, value, None)
    return b2a_base64(body, newline=False) + _SEPARATOR + key.dapr_name.encode()


def parse(data: bytes) -> Sealed | None:
    """Return the parts; None for data that is not in this format."""
    text, separator, name = data.rpartition(_SEPARATOR)
    if not separator or not text:
        return None
    try:
        return Sealed(a2b_base64(text, strict_mode=True), name.decode("utf-8", "replace"))
    except Error:
        return None


def unseal(sealed: Sealed, key: Key) -> bytes | None:
    """Return the value; None if the key or any byte is another one."""
    try:
        return key.aes.decrypt(sealed.body[:_NONCE_BYTES], sealed.body[_NONCE_BYTES:], None)
    except InvalidTag:
        return None


def bare(value: bytes) -> bytes:
    """Return what Dapr encrypts of a JSON value that came over HTTP: the text of a string, without quotes. Dapr writes
    objects and lists in Go's notation, which cannot be read back; they stay JSON here.
    """
    if not value.lstrip().startswith(b'"'):
        return value
    text = json.loads(value.decode("utf-8", "replace"), strict=False)
    assert isinstance(text, str), "a JSON value that begins with a quote is a string"
    # As in Go, a surrogate without its other half becomes U+FFFD.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
