"""Secrets that are JSON objects: their fields become texts by keys."""

from __future__ import annotations

from msgspec import Raw, json


def texts_of(content: bytes | Raw) -> dict[str, str]:
    """Return strings as they are, and other values as JSON.

    Raises msgspec's DecodeError, RecursionError and UnicodeDecodeError for what is not a JSON object.
    """
    found = json.decode(content, type=dict[str, Raw])
    return {key: _text(value) for key, value in found.items()}


def _text(value: Raw) -> str:
    written = bytes(value)
    return json.decode(written, type=str) if written.startswith(b'"') else written.decode()
