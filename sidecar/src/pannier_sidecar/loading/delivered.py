"""Reads component files in the form in which the operator delivers them: without PyYAML, which takes 0.8 MB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import DecodeError
from msgspec.json import decode, encode

from pannier_crds import canonical_json
from pannier_crds.manifests import MAX_BYTES, documents_of

if TYPE_CHECKING:
    from pannier_crds.manifests import Document


def delivered_documents(content: bytes, source: str) -> list[Document]:
    """Return the documents of a file; none if it has another form, in which `read_documents` reads it."""
    if not content.startswith(b"{") or len(content) > MAX_BYTES:
        return []
    try:
        tree = canonical_json.read(content.decode(), decode(content), _quote)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return [] if tree is None else list(documents_of(tree, source))


def _quote(text: str) -> str:
    return encode(text).decode()
