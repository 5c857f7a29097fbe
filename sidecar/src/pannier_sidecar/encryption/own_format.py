"""Pannier's format of an encrypted value. It opens only with its key, in its store and under its stored key.

    NUL "pannier" 1    9 bytes, the version at the end; no JSON begins with NUL
    key id             8 bytes
    length, key name   1 byte, and so many bytes of UTF-8: for messages only
    seed               16 random bytes
    nonce              12 random bytes
    ciphertext, tag    AES-256-GCM

Each value has a key of its own: HMAC-SHA-256 of the component's key and a seed. So there is no limit of 2**32 values
for one key, which random nonces of 12 bytes have (NIST SP 800-38D, section 8.3).
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag

from .keys import KEY_ID_BYTES, Key

MARK: Final = b"\x00pannier\x01"
_DERIVES: Final = b"pannier value key 1"
_SEED_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_MAX_NAME_BYTES: Final = 255
_AT_NAME: Final = len(MARK) + KEY_ID_BYTES


class Sealed(NamedTuple):
    """The parts of a sealed value."""

    header: bytes
    """Everything before the seed."""
    key_id: bytes
    key_name: str
    seed: bytes
    nonce: bytes
    ciphertext: bytes


def header_of(key: Key) -> bytes:
    """Return what is before the seed in each value that this key seals."""
    name = key.name.encode("utf-8", "replace")[:_MAX_NAME_BYTES]
    return MARK + key.id + bytes([len(name)]) + name


def seal(header: bytes, key: Key, place: bytes, value: bytes) -> bytes:
    """Return the sealed value; `header` is that of the key, and `place` says where the value is stored."""
    random = os.urandom(_SEED_BYTES + _NONCE_BYTES)
    aes = key.derived_aes(_DERIVES + random[:_SEED_BYTES])
    return header + random + aes.encrypt(random[_SEED_BYTES:], value, _bound(header, place))


def parse(data: bytes) -> Sealed | None:
    """Return the parts of data that begins with MARK; None if it is too short."""
    if len(data) <= _AT_NAME:
        return None
    at_seed = _AT_NAME + 1 + data[_AT_NAME]
    at_nonce = at_seed + _SEED_BYTES
    at_ciphertext = at_nonce + _NONCE_BYTES
    if len(data) < at_ciphertext + _TAG_BYTES:
        return None
    return Sealed(
        header=data[:at_seed],
        key_id=data[len(MARK) : _AT_NAME],
        key_name=data[_AT_NAME + 1 : at_seed].decode("utf-8", "replace"),
        seed=data[at_seed:at_nonce],
        nonce=data[at_nonce:at_ciphertext],
        ciphertext=data[at_ciphertext:],
    )


def unseal(sealed: Sealed, key: Key, place: bytes) -> bytes | None:
    """Return the value; None if the key, the place or any byte is another one."""
    try:
        aes = key.derived_aes(_DERIVES + sealed.seed)
        return aes.decrypt(sealed.nonce, sealed.ciphertext, _bound(sealed.header, place))
    except InvalidTag:
        return None


def place_of(store: str, stored_key: str) -> bytes:
    """Return the bytes that stand for a stored key of a store: different for any two of them."""
    name = store.encode("utf-8", "surrogatepass")
    return len(name).to_bytes(4, "big") + name + stored_key.encode("utf-8", "surrogatepass")


def _bound(header: bytes, place: bytes) -> bytes:
    return header + place  # the header says how long it is itself
