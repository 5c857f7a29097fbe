"""Whether a value is JSON."""

from __future__ import annotations

from typing import Final

from msgspec import DecodeError, Raw, json

_ANY: Final = json.Decoder(Raw)  # shared: making a decoder for each value took longer than decoding it


def is_json(value: bytes) -> bool:
    """Return whether a value is JSON in UTF-8."""
    try:
        value.decode()
        _ANY.decode(value)
    except (UnicodeDecodeError, DecodeError, RecursionError):
        return False
    return True
