"""Reads the header Range (RFC 9110, section 14). No I/O."""

from __future__ import annotations

import re
from typing import Final

_RANGE: Final = re.compile(rb"\s*bytes\s*=\s*([0-9]*)\s*-\s*([0-9]*)\s*", re.IGNORECASE)
_MAX_DIGITS: Final = 18


class UnsatisfiableError(Exception):
    """The range begins after the end."""


def wanted_range(header: bytes | None, size: int) -> tuple[int, int] | None:
    """Return the first byte and the byte after the last one that a header asks for, of a value of `size` bytes.

    Return None if all of it is to be sent: there is no header, its unit or form is not known, or it asks for several
    ranges. Raises UnsatisfiableError.
    """
    match = _RANGE.fullmatch(header) if header else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:  # the last bytes
        start, stop = max(0, size - _number(match[2])), size
    else:
        start, stop = _number(match[1]), min(size, _number(match[2]) + 1) if match[2] else size
        if match[2] and _number(match[2]) < start:
            return None
    if start >= size:
        raise UnsatisfiableError
    return start, stop


def _number(digits: bytes) -> int:
    """Return a number, or one that is larger than any value if it has more digits than that."""
    digits = digits.lstrip(b"0")
    return int(digits or b"0") if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS
