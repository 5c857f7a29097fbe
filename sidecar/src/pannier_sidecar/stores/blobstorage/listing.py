"""Answers to requests for lists of blobs, which are XML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote
from xml.etree.ElementTree import ParseError, fromstring

from .layout import KEY_FIELD, is_etag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from xml.etree.ElementTree import Element

_MAX_MARKER: Final = 8192
"""Characters of a marker."""
_META: Final = KEY_FIELD.rpartition("-")[2]


class ListedBlob(NamedTuple):
    """A blob in a list."""

    name: str
    etag: str
    """Empty: the list does not have it."""
    record: str | None
    """The stored key that is noted with it, in base64."""


class BlobPage(NamedTuple):
    """A page of blobs, and the marker of the next one; empty: there is none."""

    blobs: Sequence[ListedBlob]
    marker: str


def read_page(body: bytes, limit: int) -> BlobPage:
    """Return the page of up to `limit` blobs in an answer. Raises ValueError if it is not one."""
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise ValueError("a list of blobs declares nothing")
    try:
        root = fromstring(body)
    except ParseError as error:
        raise ValueError("not XML") from error
    if root.tag != "EnumerationResults":
        raise ValueError("no list of blobs")
    marker = root.findtext("NextMarker") or ""
    if len(marker) > _MAX_MARKER:
        raise ValueError("a marker that is too long")
    blobs = list(_blobs(root))
    if len(blobs) > limit:
        raise ValueError("more blobs than were asked for")
    return BlobPage(blobs, marker)


def _blobs(root: Element) -> Iterator[ListedBlob]:
    for blob in root.iterfind("Blobs/Blob"):
        name = blob.find("Name")
        if name is None or not name.text:
            raise ValueError("a blob without a name")
        etag = f'"{(blob.findtext("Properties/Etag") or "").strip(chr(34))}"'  # without quotes, unlike in header fields
        shown = unquote(name.text) if name.get("Encoded") == "true" else name.text
        yield ListedBlob(shown, etag if is_etag(etag) else "", blob.findtext(f"Metadata/{_META}"))
