"""Parsers of durations (in Go's syntax), sizes and booleans (in Dapr's words) in manifests and options."""

from __future__ import annotations

import re
from typing import Final

_NANOSECONDS: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)", re.ASCII)
_WHOLE: Final = re.compile(rf"([+-]?)((?:{_PART.pattern})+|0)", re.ASCII)
_BARE: Final = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_MAX_TEXT_CHARS: Final = 64
_MAX_NANOSECONDS: Final = 2**63 - 1  # Go keeps durations in 64 bits

_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)([KMGT]i|[kMGT])?", re.ASCII)
_SIZE_UNITS: Final = {
    **{"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12},
    **{"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40},
}

TRUE_WORDS: Final = ("y", "yes", "true", "t", "on", "1")
FALSE_WORDS: Final = ("n", "no", "false", "f", "off", "0")
_TRUE: Final = frozenset(TRUE_WORDS)
_FALSE: Final = frozenset(FALSE_WORDS)


def parse_duration(text: str, bare_unit: str | None = None) -> float:
    """Return the seconds in a Go duration: `1h2m3.5s`, `500ms`, `-1s`, `0`.

    `bare_unit` (one of ns, us, ms, s, m, h) is the unit of an integer that has none; without `bare_unit` only `0` may
    have no unit. Raises ValueError for any other text, and for more than 292 years.
    """
    text = text.strip()
    if bare_unit is not None and _BARE.fullmatch(text):
        nanoseconds = int(text) * _NANOSECONDS[bare_unit]
    else:
        nanoseconds = _go_nanoseconds(text)
    if abs(nanoseconds) > _MAX_NANOSECONDS:
        raise ValueError("longer than 292 years")
    return nanoseconds / 1_000_000_000


def _go_nanoseconds(text: str) -> int:
    match = _WHOLE.fullmatch(text) if len(text) <= _MAX_TEXT_CHARS else None
    if match is None:
        raise ValueError("not a duration")
    total = 0
    for number, unit in _PART.findall(match[2]):
        whole, _, fraction = number.partition(".")
        scale = _NANOSECONDS[unit]
        total += int(whole or "0") * scale + int(fraction or "0") * scale // 10 ** len(fraction)
    return -total if match[1] == "-" else total


def format_duration(seconds: float) -> str:
    """Return the Go duration that `parse_duration` reads back as the same number, in the largest whole unit."""
    numerator, denominator = seconds.as_integer_ratio()
    nanoseconds = (2 * numerator * 1_000_000_000 + denominator) // (2 * denominator)
    if nanoseconds == 0:
        return "0s"
    for unit in ("h", "m", "s", "ms", "us"):
        if nanoseconds % _NANOSECONDS[unit] == 0:
            return f"{nanoseconds // _NANOSECONDS[unit]}{unit}"
    return f"{nanoseconds}ns"


def parse_size(text: str) -> int:
    """Return the bytes in a Kubernetes quantity: `4Mi`, `512Ki`, `1048576`. Raises ValueError for any other text."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("not a size")
    return int(float(match[1]) * _SIZE_UNITS[match[2] or ""])


def parse_boolean(text: str) -> bool | None:
    """Return True or False for a boolean's text, ignoring case; None for any other text."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    return False if word in _FALSE else None


def is_truthy(text: str | None) -> bool:
    """Return whether the text is y, yes, true, t, on or 1 in any case; every other text, and None, is false."""
    return text is not None and text.strip().lower() in _TRUE
