"""The fields that encrypt values at rest, of every state store, and the rules across them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pannier_crds.catalogue.model import Field
from pannier_crds.problems import InvalidValueError, error, metadata_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Setting
    from pannier_crds.problems import Problem

PRIMARY: Final = "primaryEncryptionKey"
SECONDARY: Final = "secondaryEncryptionKey"
FORMAT: Final = "encryptionFormat"
READS_UNENCRYPTED: Final = "encryptionReadsUnencrypted"

_KEY_BYTES: Final = (16, 24, 32)
_NOT_HEX: Final = re.compile(r"[^0-9A-Fa-f]")
_MAKE_ONE: Final = "make one with: openssl rand -hex 32"
_EMPTY: Final = (
    "the encryption key is empty, so state would be stored readable",
    f"{_MAKE_ONE}; or take this field out",
)


def parse_key(text: str) -> bytes:
    """Return the 16, 24 or 32 bytes of a key in hexadecimal digits. Raises InvalidValueError, which quotes nothing."""
    wrong = _NOT_HEX.search(text)
    if wrong is not None:
        message = f"character {wrong.start() + 1} of the encryption key is no hexadecimal digit"
        raise InvalidValueError(message, f"write 32, 48 or 64 of the characters 0-9 and a-f; {_MAKE_ONE}")
    if len(text) not in (2 * size for size in _KEY_BYTES):
        message = f"the encryption key has {len(text)} hexadecimal digits"
        raise InvalidValueError(message, f"write 32, 48 or 64 (16, 24 or 32 bytes); {_MAKE_ONE}")
    return bytes.fromhex(text)


FIELDS: Final = (
    Field(
        PRIMARY,
        description="Key that encrypts values, and opens them again: 32, 48 or 64 hexadecimal digits",
        sensitive=True,
        reads=parse_key,
        refused_if_empty=_EMPTY,
    ),
    Field(
        SECONDARY,
        description="Key that only opens values: the one that was primary before",
        sensitive=True,
        reads=parse_key,
        refused_if_empty=_EMPTY,
    ),
    Field(
        FORMAT,
        "choice",
        description="Form of encrypted values: pannier, or dapr, which Dapr reads too. Both are always read",
        default="pannier",
        choices=("pannier", "dapr"),
    ),
    Field(
        READS_UNENCRYPTED,
        "boolean",
        description="Whether values that were stored before encryption was turned on are still returned",
        default=False,
    ),
)


def needs_primary_key(_: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    """Yield a problem for each field of encryption without a primary key, because nothing would be encrypted."""
    if PRIMARY in given:
        return
    for name in (SECONDARY, FORMAT, READS_UNENCRYPTED):
        if name in given:
            message = f"without {PRIMARY} nothing is encrypted"
            yield error(metadata_path(name), message, f"add {PRIMARY}, or take this field out")
