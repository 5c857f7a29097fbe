"""How state is stored in blobs: their names, ETags, and the header fields of a write.

Version v2 gives a blob the stored key as its name, as Dapr does. A key that Azure does not keep apart from others, or
does not take as a name, is stored under `=` and its percent-encoding.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote_to_bytes

from pannier_sidecar.state.errors import InvalidETagError, KeyRefusedError, NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_sidecar.state.requests import Set, Write

MAX_NAME: Final = 1024
"""Characters of a blob's name."""
MAX_KEY_BYTES: Final = 1024
KEY_FIELD: Final = "x-ms-meta-pannierkey"
"""The field of a blob of version v1 that holds its whole stored key, in base64."""
NEVER: Final = '"0x0"'
"""An ETag that no blob has."""

_SEPARATOR: Final = "||"
_MARK: Final = "="
_NEVER_PLAIN: Final = re.compile(r"\A=|[\x00-\x1f\x7f-\x9f\\\ufffe\uffff]")
_NOT_PLAIN: Final = re.compile(rf"{_NEVER_PLAIN.pattern}|\.(?:/|\Z)|/\Z")
"""Keys that are stored encoded: Azure takes a backslash for a slash, resolves segments of dots, and drops dots and
slashes at the end of segments; and some characters cannot be in a list.
"""
_MAX_SEGMENTS: Final = 250
_NOT_ENCODED: Final = "|:;,@!$&'()*+-_~"
_ETAG: Final = re.compile(r'"0x[0-9A-Fa-f]{1,32}"')
_PROPERTIES: Final = {
    "contenttype": "x-ms-blob-content-type",
    "contentmd5": "x-ms-blob-content-md5",
    "contentencoding": "x-ms-blob-content-encoding",
    "contentlanguage": "x-ms-blob-content-language",
    "contentdisposition": "x-ms-blob-content-disposition",
    "cachecontrol": "x-ms-blob-cache-control",
}
"""Metadata of a request that become properties of its blob, in lower case, as in Dapr."""
_OF_PANNIER: Final = ("ttlinseconds", "pannierkey")
_NO_LETTER_OR_DIGIT: Final = re.compile(r"[^A-Za-z0-9]")
_NOT_PRINTABLE: Final = re.compile(r"[^ -~]")


def name_of(key: str) -> str:
    """Return the name of a key's blob in version v2. Raises KeyRefusedError."""
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise KeyRefusedError(f"key {key[:80]!r} holds a surrogate, which is no character; take it out") from error
    is_plain = key and _NOT_PLAIN.search(key) is None and key.count("/") < _MAX_SEGMENTS
    name = key if is_plain else encoded(key)
    if len(name) > MAX_NAME:
        raise KeyRefusedError(
            f"key {key[:80]!r}... is too long for the name of a blob: it has {len(name)} characters encoded, and Azure "
            f"takes {MAX_NAME}; shorten it"
        )
    return name


def key_of(name: str) -> str | None:
    """Return the key of a blob in version v2; None: no key has this name."""
    try:
        key = unquote_to_bytes(name[1:]).decode() if name.startswith(_MARK) else name
        return key if name_of(key) == name else None
    except (UnicodeDecodeError, KeyRefusedError):
        return None


def beginnings(prefix: str) -> tuple[str, ...]:
    """Return the beginnings of the names of keys with a prefix, in version v2."""
    if not prefix:
        return ("",)
    found = (encoded(prefix),) if _NEVER_PLAIN.search(prefix) else (prefix, encoded(prefix))
    return tuple(each for each in found if len(each) <= MAX_NAME)


def encoded(text: str) -> str:
    """Return the beginning of the names of encoded keys that begin with a text."""
    return _MARK + quote(text, safe=_NOT_ENCODED).replace(".", "%2E")


def unprefixed(key: str) -> str:
    """Return what version v1 of Dapr keeps of a key. Raises KeyRefusedError where it would keep only the app's id."""
    first, *rest = key.split(_SEPARATOR)
    if len(rest) > 1:
        raise KeyRefusedError(
            f"key {key[:80]!r} has {len(rest) + 1} parts, of which version v1 keeps only the first, so that all such "
            "keys would be one; write version: v2 in the component"
        )
    return rest[0] if rest else first


def unprefixed_beginnings(prefix: str) -> tuple[str, ...]:
    """Return the beginnings of the names of keys with a prefix, in version v1."""
    _, *rest = prefix.split(_SEPARATOR)
    return () if len(rest) > 1 else beginnings(rest[0] if rest else "")


def unprefixed_key_of(name: str, record: str | None, prefix: str) -> str | None:
    """Return the key of a blob in version v1, by the record that is noted with it; without one, the key with this
    prefix that Dapr stores in it. None: no key has this blob.
    """
    app, separator, _ = prefix.partition(_SEPARATOR)
    own = key_of(name)
    key = key_in(record) or (None if own is None else f"{app}{separator}{own}" if separator else own)
    try:
        return key if key is not None and name_of(unprefixed(key)) == name else None
    except KeyRefusedError:
        return None


def record_of(key: str) -> str:
    """Return a stored key as it is noted with its blob."""
    return urlsafe_b64encode(key.encode()).decode()


def recorded(fields: Mapping[str, str]) -> str | None:
    """Return the stored key that is noted in a blob's fields; None: none, because another program wrote it."""
    return key_in(fields.get(KEY_FIELD))


def key_in(record: str | None) -> str | None:
    """Return the stored key of a record; None: there is none that can be read."""
    try:
        return urlsafe_b64decode(record).decode() if record else None
    except ValueError:
        return None


def precondition(write: Write) -> dict[str, str]:
    """Return the fields of a write's precondition. Raises InvalidETagError."""
    if write.if_absent:
        return {"If-None-Match": "*"}
    if write.if_match is None:
        return {}
    if _ETAG.fullmatch(write.if_match) is None:
        shown = repr(write.if_match[:80])
        raise InvalidETagError(f"{shown} is no ETag that Azure gave the blob of key {write.key}; read it again")
    return {"If-Match": write.if_match}


def is_etag(text: str) -> bool:
    return _ETAG.fullmatch(text) is not None


def fields_of(write: Set) -> dict[str, str]:
    """Return the fields of a write that do not concern its precondition: Dapr's, from the metadata of the request.

    Raises NotSupportedError for a value that should expire.
    """
    if write.ttl is not None:
        raise NotSupportedError(
            f"key {write.key} cannot expire in Azure Blob Storage; leave ttlInSeconds out, or let a lifecycle rule of "
            "the account delete old blobs"
        )
    return {
        "x-ms-blob-type": "BlockBlob",
        "Content-Type": "application/octet-stream",
        **dict(_metadata(write.metadata)),
    }


def _metadata(metadata: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the properties of a blob, and its metadata: with names of letters and digits, and printable ASCII."""
    for name, value in metadata.items():
        text = " ".join(_NOT_PRINTABLE.sub("", value).split())
        known = _PROPERTIES.get(name.lower())
        plain = _NO_LETTER_OR_DIGIT.sub("", name).lower()
        if known is not None:
            yield known, text
        elif plain[:1].isalpha() and plain not in _OF_PANNIER:
            yield f"x-ms-meta-{plain}", text
