"""Advice to a caller whose path or header has no meaning here."""

from __future__ import annotations

from typing import Final

USUAL: Final = "the state API is at /v1.0/state/{store}/{key}; /openapi.json describes all of it"
_KEYED: Final = (b"GET", b"DELETE")


def on_path(method: bytes, path: bytes) -> str:
    """Return advice on a path that does not exist."""
    segments = path.split(b"/")
    if method in _KEYED and segments[1:3] == [b"v1.0", b"state"]:
        at = 4
    elif method == b"GET" and segments[1:3] == [b"v1.0", b"actors"] and segments[5:6] == [b"state"]:
        at = 6
    else:
        return USUAL
    key = [segment for segment in segments[at:] if segment]
    if len(key) < 2:
        return USUAL
    match = b"/".join(segments[:at]) + b"/" + b"%2F".join(segments[at:])
    return f"a slash within a key is written %2F: {match[:200].decode('latin-1')}"


def on_if_match(etag: str) -> str:
    """Return advice on a mismatch if the header has an ETag in the quotes of RFC 9110 (8.8.3); else nothing."""
    bare = etag.removeprefix("W/")
    if len(bare) < 2 or not (bare.startswith('"') and bare.endswith('"')):
        return ""
    return f"; ETags have no quotes here: write If-Match: {bare[1:-1][:100]}"
