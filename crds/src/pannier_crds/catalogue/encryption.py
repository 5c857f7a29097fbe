"""The fields that encrypt values at rest, of every state store, and the rules across them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pannier_crds.catalogue.model import Field
from pannier_crds.problems import InvalidValueError, error, metadata_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Setting
    from pannier_crds.problems import Problem

PRIMARY: Final = "primaryEncryptionKey"
SECONDARY: Final = "secondaryEncryptionKey"
FURTHER: Final = "decryptionKeys"
FORMAT: Final = "encryptionFormat"
READS_UNENCRYPTED: Final = "encryptionReadsUnencrypted"

_KEY_BYTES: Final = (16, 24, 32)
_MAX_FURTHER: Final = 1_000
_BETWEEN_KEYS: Final = re.compile(r"[\s,]+")
_NOT_HEX: Final = re.compile(r"[^0-9A-Fa-f]")
_MAKE_ONE: Final = "make one with: openssl rand -hex 32"
_TAKE_OUT: Final = "take this field out"
_EMPTY: Final = (
    "the encryption key is empty, so state would be stored readable",
    f"{_MAKE_ONE}; or {_TAKE_OUT}",
)
_NO_KEY: Final = ("there is no encryption key in it", f"write one on each line, or {_TAKE_OUT}")


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


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A key of `decryptionKeys`."""

    name: str
    """The name of the secret by which Dapr's values name it; empty: only values in Pannier's format are opened."""
    secret: bytes = field(repr=False)


def parse_keys(text: str) -> tuple[NamedKey, ...]:
    """Return the keys of a text in which each is `NAME=KEY` or `KEY`, separated by line ends, spaces or commas.

    Raises InvalidValueError, which says which key is wrong and quotes nothing, because a key may stand in place of a
    name.
    """
    parts = [part for part in _BETWEEN_KEYS.split(text) if part]
    if not parts:
        raise InvalidValueError(*_NO_KEY)
    if len(parts) > _MAX_FURTHER:
        message = f"it holds {len(parts)} encryption keys, more than {_MAX_FURTHER}"
        raise InvalidValueError(message, "run 'pannier reencrypt', and take out the keys that no value needs any more")
    positions: dict[str, int] = {}
    keys: list[NamedKey] = []
    for position, part in enumerate(parts, 1):
        name, _, digits = part.rpartition("=")
        if name and (first := positions.setdefault(name, position)) != position:
            message = f"its keys {first} and {position} have the same name"
            raise InvalidValueError(message, "give each the name of the secret that it was in")
        keys.append(NamedKey(name, _parse_key_at(position, name, digits)))
    return tuple(keys)


def _parse_key_at(position: int, name: str, digits: str) -> bytes:
    if "||" in name:
        message = f"the name of its key {position} holds '||', which separates a value and its key in Dapr's format"
        raise InvalidValueError(message, "write NAME=KEY, with the name of the secret that it was in")
    try:
        return parse_key(digits)
    except InvalidValueError as wrong:
        raise InvalidValueError(f"in its key {position}, {wrong.message}", wrong.advice) from None


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
        FURTHER,
        description="Further keys that only open values, one on each line: KEY, or NAME=KEY for values that Dapr "
        "encrypted with the key of the secret NAME",
        sensitive=True,
        reads=parse_keys,
        refused_if_empty=_NO_KEY,
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
    for name in (SECONDARY, FURTHER, FORMAT, READS_UNENCRYPTED):
        if name in given:
            message = f"without {PRIMARY} nothing is encrypted"
            yield error(metadata_path(name), message, f"add {PRIMARY}, or take this field out")
