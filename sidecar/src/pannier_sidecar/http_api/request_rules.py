"""Rules of the RFCs for requests of HTTP/1.1 that llhttp does not check by itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from httptools import HttpRequestParser

SINGULAR: Final = frozenset({b"host", b"transfer-encoding"})
"""Headers that a request may have only once. llhttp checks content-length."""
MAX_DIGITS: Final = 20
"""Maximum of digits in a content-length."""
_OF_AN_OFFER: Final = frozenset({b"connection", b"upgrade", b"http2-settings"})
_AUTHORITY_ENDS: Final = re.compile(rb"[/?#\\]")


def has_body(headers: Mapping[bytes, bytes]) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


def measured(url: bytes, headers: Mapping[bytes, bytes]) -> int:
    """Return the approximate size of a header section, in bytes."""
    return len(url) + sum(map(len, headers)) + sum(map(len, headers.values())) + 4 * len(headers)


def origin_form(url: bytes, headers: dict[bytes, bytes]) -> bytes:
    """Return the path and query of a target in absolute form, as clients send it to a proxy (RFC 9112, 3.2.2), and set
    the host that it names. A target in another form is returned as it is.
    """
    after_scheme = url.partition(b"://")[2]
    if not after_scheme:
        return url
    headers[b"host"] = authority = _AUTHORITY_ENDS.split(after_scheme, 1)[0]
    rest = after_scheme[len(authority) :].partition(b"#")[0]
    return rest if rest.startswith(b"/") else b"/" + rest


def protocol_of(parser: HttpRequestParser, url: bytes, received: bytes | memoryview) -> str:
    """Return the protocol of a request that was received: llhttp reads RTSP/1.0 and ICE/1.0 too, and hides which it
    was.
    """
    version = bytes(received).partition(b"%b %b " % (parser.get_method(), url))[2]
    return next((name for name in ("RTSP", "ICE") if version.startswith(name.encode() + b"/")), "HTTP")


def without_offer(parser: HttpRequestParser, url: bytes, headers: Mapping[bytes, bytes]) -> bytes:
    """Return the header section of a request without its offer of another protocol."""
    kept = {name: value for name, value in headers.items() if name not in _OF_AN_OFFER}
    if not parser.should_keep_alive():
        kept[b"connection"] = b"close"
    lines = [b"%b %b HTTP/%b" % (parser.get_method(), url, parser.get_http_version().encode())]
    lines += [b"%b: %b" % header for header in kept.items()]
    return b"\r\n".join([*lines, b"", b""])
