"""Hash slots of a Redis Cluster (Redis Cluster specification, "Key distribution model")."""

from __future__ import annotations

from binascii import crc_hqx
from typing import Final

SLOTS: Final = 16384


def hash_tag(key: str) -> str:
    """Return a text in braces that puts another key into the slot of `key`; empty if there is none."""
    start = key.find("{")
    end = key.find("}", start + 1)
    if start >= 0 and end > start + 1:
        return key[start : end + 1]
    return "" if "}" in key else f"{{{key}}}"


def slot_of(key: bytes) -> int:
    """Return the slot of a key: of the part between the first `{` and the next `}`, if there is such a part."""
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    return crc_hqx(key, 0) % SLOTS
