"""How keys, values and ETags are stored in the columns of Dapr's table, and written as literals of SQL.

A literal has quotes only around ASCII that needs no escaping, whatever the session's sql_mode and character set are;
any other is hexadecimal. `CONVERT` and `CAST` make the server send a column's text as UTF-8, whatever its own character
set.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import uuid4

from pannier_sidecar.state.errors import KeyRefusedError, StoreRefusedError
from pannier_sidecar.state.store import StoredValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pannier_sidecar.state.prefilter import Group

MAX_KEY: Final = 768
"""Characters of a key in tables made here: as many as an index of InnoDB takes. Dapr's hold 255."""
LAST_EXPIRY: Final = 2**31 - 1
"""The last Unix time that a TIMESTAMP of MySQL holds: 2038-01-19T03:14:07Z."""
MAX_ETAG: Final = 36
_PLAIN: Final = re.compile(r"[ !#-&(-\[\]-~]*")
"""Printable ASCII without quotes and backslashes."""
# Values that MySQL's JSON returns byte for byte: whole numbers of 64 bits, words, and strings without escapes.
_KEPT_BY_JSON: Final = re.compile(rb'-?[1-9][0-9]{0,17}|0|true|false|null|"[^"\\\x00-\x1f\x7f]*"')


EXACT: Final = ("utf8mb4_nopad_bin", "utf8mb4_0900_bin")
"""Collations that take no two keys for the same: of MariaDB, and of MySQL."""


class Table(NamedTuple):
    """What differs between tables."""

    max_key: int = MAX_KEY
    """Maximum of characters in a key."""
    collation: str = ""
    """Of the column of keys."""

    @property
    def is_exact(self) -> bool:
        """Whether no two keys are the same to it."""
        return self.collation in EXACT

    @property
    def charset(self) -> str:
        return self.collation.partition("_")[0]


def text(value: str) -> str:
    """Return a literal that a column compares by its own collation."""
    return f"_utf8mb4{_quoted(value)}"


def raw(value: str) -> str:
    """Return a literal that is compared byte by byte."""
    return f"_binary{_quoted(value)}"


def _quoted(value: str) -> str:
    return f"'{value}'" if _PLAIN.fullmatch(value) else f" X'{value.encode().hex()}'"


def bytes_of(column: str) -> str:
    """Return the SQL for the bytes of a column's text in UTF-8."""
    return f"CAST(CONVERT({column} USING utf8mb4) AS BINARY)"


def decoded(value: bytes | None) -> str:
    """Return a text that the server sent."""
    return (value or b"").decode("utf-8", "replace")


def check_key(key: str, limit: int) -> None:
    """Raise KeyRefusedError for a key of more than `limit` characters."""
    if len(key) > limit:
        raise KeyRefusedError(
            f"key {key[:40]}... has {len(key)} characters with its prefix, and the table holds {limit}; shorten it"
        )


def value_and_kind(value: bytes) -> tuple[str, str]:
    """Return a value as literals for the columns `value` and `isbinary`.

    MySQL changes the spaces, the order and the numbers of JSON, so most values are base64, as Dapr stores bytes.
    """
    if _KEPT_BY_JSON.fullmatch(value):
        try:
            value.decode()
        except UnicodeDecodeError:
            pass
        else:
            return f"_utf8mb4 X'{value.hex()}'", "0"
    return f"_utf8mb4'\"{b64encode(value).decode()}\"'", "1"


def may_contain(group: Group) -> str | None:
    """Return the condition that values meet which contain a text; None if it cannot be decided so.

    Most values are base64, and are searched without decoding them. Those that cannot be decoded meet it too.
    """
    if group.or_fraction or len(group.texts) > _MAX_TEXTS:
        return None
    fragments = [fragment for each in group.texts for fragment in in_base64(each)]
    if min(map(len, fragments)) < _MIN_FRAGMENT:  # nearly every value has it
        return None
    found = [f"LOCATE(_binary X'{each.hex()}', {bytes_of('value')})" for each in (*group.texts, *fragments)]
    return f"({' OR '.join(found)} OR (isbinary AND FROM_BASE64({_BASE64}) IS NULL))"


def in_base64(text: bytes) -> list[bytes]:
    """Return what base64 has of a text for each of the three places at which it may begin: the characters that depend
    on no other byte.
    """
    encoded = [b64encode(bytes(place) + text + bytes(2)) for place in range(3)]
    bits = 8 * len(text)
    return [encoded[place][(8 * place + 5) // 6 : (8 * place + bits) // 6] for place in range(3)]


_MAX_TEXTS: Final = 16
"""To look for more would take longer than to read the values."""
_MIN_FRAGMENT: Final = 2
_JSON: Final = "CONVERT(value USING utf8mb4)"
_BASE64: Final = f"SUBSTRING({_JSON}, 2, CHAR_LENGTH({_JSON}) - 2)"


def new_etag() -> str:
    return str(uuid4())


def stored_value(key: str, row: Sequence[bytes | None]) -> StoredValue:
    """Return what a row holds: value, isbinary, ETag, Unix time of expiry. Raises StoreRefusedError."""
    stored, is_binary, etag, expires = row[0] or b"", row[1], decoded(row[2]), row[3]
    try:
        expires_at = None if expires is None else int(float(expires))
        value = stored if is_binary == b"0" else b64decode(stored[1:-1], validate=True)
    except (ValueError, OverflowError) as error:
        raise StoreRefusedError(
            f"the value of key {key} is marked as binary but is no base64; write it again"
        ) from error
    return StoredValue(value, etag, expires_at)
