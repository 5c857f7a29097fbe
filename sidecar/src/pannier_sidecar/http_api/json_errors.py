"""Messages about bodies that are not JSON, with advice on what to send instead."""

from __future__ import annotations

import re
from typing import Final

_COMPRESSED: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x78\x01", "deflate"),
    (b"\x78\x9c", "deflate"),
    (b"\x78\xda", "deflate"),
)
"""The first bytes of compressed bodies."""
_BYTE_ORDER_MARKS: Final = (
    (b"\xef\xbb\xbf", "begins with a byte order mark; send UTF-8 without it"),
    (b"\xff\xfe", "is UTF-16; send UTF-8"),
    (b"\xfe\xff", "is UTF-16; send UTF-8"),
)
_SURROGATES: Final = re.compile(
    rb"""\\u[dD] (?: [89abAB][0-9a-fA-F]{2} (?P<pair> \\u[dD][c-fC-F][0-9a-fA-F]{2} )?
                 | [c-fC-F][0-9a-fA-F]{2} )""",
    re.VERBOSE,
)


def why_not_json(body: bytes) -> str | None:
    """Return what a body that is not JSON is instead; None if it seems to be broken JSON."""
    if not body.strip():
        return "the body is empty"
    for beginning, name in _COMPRESSED:
        if body.startswith(beginning):
            return f"the body is compressed ({name}), which is not taken here; send it as it is"
    for mark, advice in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return f"the body {advice}"
    return _lone_surrogate(body)


def _lone_surrogate(body: bytes) -> str | None:
    """Return a message about the first escape that makes a string invalid Unicode, if there is one. How readers treat
    such a string is undefined (RFC 8259, 8.2).
    """
    for found in _SURROGATES.finditer(body):
        at = found.start()
        if _is_escaped(body, at):  # a backslash and then the text `ud800`
            if found["pair"] is None:
                continue
            at = found.start("pair")
        elif found["pair"] is not None:
            continue
        shown = body[at : at + 6].decode("ascii")
        return f"{shown} at byte {at} is half of a surrogate pair, which is no text; send both halves or neither"
    return None


def _is_escaped(body: bytes, at: int) -> bool:
    """Return whether there is an odd number of backslashes before a position."""
    begins = at
    while begins and body[begins - 1] == 0x5C:
        begins -= 1
    return (at - begins) % 2 == 1
