"""What a large value is stored as. No I/O.

Under the value's own stored key is a manifest: the mark, and which parts belong to the value. A value of a client that
begins with the mark is stored behind another mark, so no client can write what would be read as a manifest.

Parts, and a record of each set of parts, have stored keys that begin with `pannier||||`. No app can name one: neither
an app's key nor a part of an actor's may hold `||`, and no text before a separator may end with `|`, so four of them
never follow one another in the key of an app (`state/keys.py`).

    pannier||||OWNER||p||HEAD||VERSION||NUMBER   a part; OWNER and HEAD are digests of the app's prefix and of the key
    pannier||||OWNER||r||VERSION                 the record of the parts of one version, as long as there are parts
    pannier||||OWNER||s                          when the records were last looked through

The digest of the key is in the key of a part, so a manifest that was copied to another key finds none. The version is
random, and no answer shows it.
"""

from __future__ import annotations

import os
import re
from typing import Final

import msgspec
from msgspec import Struct

from pannier_crds.digests import blake2b
from pannier_sidecar.state.errors import StoreRefusedError

ROOT: Final = "pannier||||"
"""The beginning of the stored keys of parts and records."""
MARK: Final = b"\x00pannier value\x01"
"""The beginning of whatever is stored under a value's key and is not the value itself; no JSON begins with NUL."""
_AS_IT_IS: Final = MARK + b"v"
_MANIFEST: Final = MARK + b"m"
_VERSION: Final = re.compile(r"[0-9a-f]{32}")


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which parts a value has."""

    version: str
    size: int
    """Bytes of the value."""
    part_size: int
    """Bytes of each part but the last, which may have fewer."""

    @property
    def number_of_parts(self) -> int:
        return -(-self.size // self.part_size)

    def size_of(self, number: int) -> int:
        """Return the bytes of a part, whose numbers begin with 0."""
        return min(self.part_size, self.size - number * self.part_size)


class Record(Struct, frozen=True, forbid_unknown_fields=True):
    """The parts of one version of a value, for whoever removes them."""

    key: str
    """The stored key of the value."""
    parts: int
    """No part has this number or a higher one."""
    noted_at: float
    """Unix time when the writer, or whoever removes the parts, last wrote the record."""
    partition: str | None = None
    """The `partitionKey` of the value, where its store has partitions; None: it has none of its own."""
    is_unused: bool = False
    """Whether the manifest was another one at that time; then the parts are removed after a while."""


class Keys:
    """The stored keys of one app's parts and records."""

    def __init__(self, prefix: str):
        """`prefix` is that of the app's own stored keys."""
        self.root = f"{ROOT}{_digest(prefix)}||"
        """The beginning of all of them."""
        self.records = f"{self.root}r||"
        self.swept = f"{self.root}s"

    def part(self, key: str, version: str, number: int) -> str:
        return f"{self.root}p||{_digest(key)}||{version}||{number}"

    def record(self, version: str) -> str:
        return self.records + version

    def version_of(self, stored: str) -> str | None:
        """Return the version whose record has a stored key; None if it is no record."""
        version = stored.removeprefix(self.records)
        return version if _VERSION.fullmatch(version) else None


def new_version() -> str:
    """Return a version that nobody can guess."""
    return os.urandom(16).hex()


def as_stored(value: bytes) -> bytes:
    """Return what is stored for a value that is kept in one piece."""
    return _AS_IT_IS + value if value.startswith(MARK) else value


def manifest_bytes(manifest: Manifest) -> bytes:
    return _MANIFEST + msgspec.json.encode(manifest)


def read(data: bytes) -> bytes | Manifest:
    """Return the value, or its manifest, of what begins with the mark. Raises StoreRefusedError."""
    if data.startswith(_AS_IT_IS):
        return data[len(_AS_IT_IS) :]
    try:
        manifest = msgspec.json.decode(data[len(_MANIFEST) :], type=Manifest)
    except msgspec.DecodeError:
        manifest = None
    if (
        manifest is None
        or not data.startswith(_MANIFEST)
        or not 0 < manifest.part_size <= manifest.size
        or not _VERSION.fullmatch(manifest.version)
    ):
        raise StoreRefusedError("the list of the value's parts was changed in the database; write the value again")
    return manifest


def version_in(data: bytes) -> str | None:
    """Return the version whose parts stored bytes refer to; None if they refer to none."""
    try:
        found = read(data) if data.startswith(MARK) else None
    except StoreRefusedError:
        return None
    return found.version if isinstance(found, Manifest) else None


def record_bytes(record: Record) -> bytes:
    return msgspec.json.encode(record)


def read_record(data: bytes) -> Record | None:
    """Return a record; None if the bytes are none."""
    try:
        return msgspec.json.decode(data, type=Record)
    except msgspec.DecodeError:
        return None


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
