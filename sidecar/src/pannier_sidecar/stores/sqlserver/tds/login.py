"""The message that signs in, with a user and a password or with a token of Entra ID ([MS-TDS] 2.2.6.4)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from .packets import SIZE

if TYPE_CHECKING:
    from .prelogin import Offer

VERSION: Final = 0x74000004
"""7.4, of SQL Server 2012 and later."""
MAX_LENGTH: Final = 128
"""Characters that a name, or the password, may have."""
_HEAD: Final = struct.Struct("<IIIIII4B")
_FIXED: Final = 94
"""Bytes before the texts."""
# The use of a database and its failure are reported, texts are Unicode, and options are those of ODBC, as persisted
# computed columns need them.
_FLAGS_1: Final = 0x20 | 0x40 | 0x80
_FLAGS_2: Final = 0x01 | 0x02
_FLAGS_3: Final = 0x08
_HAS_EXTENSION: Final = 0x10
_FOR_READING: Final = 0x20
_LANGUAGE: Final = 0x0409
"""English, for messages that nobody reads."""
_TOKEN: Final = 0x02
_IS_SECURITY_TOKEN: Final = 0x01 << 1
_END: Final = 0xFF


class Login(NamedTuple):
    """Who signs in to what."""

    server: str
    """As the component names it."""
    database: str
    """Empty: the user's own."""
    user: str = ""
    password: str = ""
    token: str = ""
    """Of Entra ID, instead of user and password."""
    app: str = "pannier"
    host: str = "pannier"
    reads_only: bool = False
    """Whether the server of a group may be one that only reads."""


def login(who: Login, offered: Offer) -> bytes:
    """Return the message. The texts have at most MAX_LENGTH characters, but for the token."""
    texts = [who.host, who.user, who.password, who.app, who.server, None, "pannier", "", who.database]
    encoded = [b"" if text is None else text.encode("utf-16-le") for text in texts]
    encoded[2] = hidden(encoded[2])
    if who.token:
        encoded[5] = bytes(4)
    entries = bytearray()
    position = _FIXED
    for text in encoded:
        length = len(text) if text is encoded[5] else len(text) // 2
        entries += struct.pack("<HH", position, length)
        position += len(text)
    extension = _extension(who.token, offered) if who.token else b""
    if who.token:
        encoded[5] = struct.pack("<I", position)
    # No client id, and nothing for Windows' ways to sign in, an attached file or a new password.
    entries += bytes(6) + struct.pack("<HHHHHHI", *([position, 0] * 3), 0)
    content = bytes(entries) + b"".join(encoded) + extension
    head = _HEAD.pack(
        _HEAD.size + 8 + len(content),
        VERSION,
        SIZE,
        0,
        0,
        0,
        _FLAGS_1,
        _FLAGS_2,
        _FOR_READING if who.reads_only else 0,
        _FLAGS_3 | (_HAS_EXTENSION if who.token else 0),
    )
    return head + struct.pack("<iI", 0, _LANGUAGE) + content


def hidden(password: bytes) -> bytes:
    """Return a password as it is sent: this hides it from nobody, so the connection must be encrypted."""
    return bytes(((byte << 4 | byte >> 4) & 0xFF) ^ 0xA5 for byte in password)


def _extension(token: str, offered: Offer) -> bytes:
    encoded = token.encode("utf-16-le")
    options = _IS_SECURITY_TOKEN | (1 if offered.wants_echo else 0)
    content = struct.pack("<BI", options, len(encoded)) + encoded + offered.nonce
    return struct.pack("<BI", _TOKEN, len(content)) + content + bytes([_END])
