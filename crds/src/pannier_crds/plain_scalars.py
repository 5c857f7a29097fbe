"""What a YAML scalar without quotes means, read as Kubernetes and Dapr read it."""

from __future__ import annotations

import re
from typing import Final

Scalar = str | int | float | bool | None

_INTEGER: Final = re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-f_]+|0o?[0-7_]+|0|[1-9][\d_]*)", re.ASCII | re.IGNORECASE)
_FLOAT: Final = re.compile(r"[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
_MAX_NUMBER_CHARS: Final = 64
_WORDS: Final[dict[str, bool | None]] = {
    **{spelling: True for word in ("true", "yes", "y", "on") for spelling in (word, word.title(), word.upper())},
    **{spelling: False for word in ("false", "no", "n", "off") for spelling in (word, word.title(), word.upper())},
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
}


def resolve_plain(text: str) -> Scalar:
    """Return what a scalar without quotes means: null, a boolean, a number, or its text.

    Numbers that neither JSON nor a float can hold stay text, and so do dates and times.
    """
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _MAX_NUMBER_CHARS:
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text.replace("_", "").lower(), text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return text if number in (float("inf"), float("-inf")) else number
    return text


def _integer(digits: str, text: str) -> int | str:
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits[1] in "01234567":
        digits = f"0o{digits[1:]}"  # as in YAML 1.1
    try:
        return sign * int(digits, 0)
    except ValueError:  # nothing but underscores after the prefix
        return text
