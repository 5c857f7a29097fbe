"""Writes stored keys as PostgreSQL's `text`, which holds every character but NUL.

NUL is written as the two characters DLE and 0, and DLE itself twice; all other keys stay as Dapr writes them.
"""

from __future__ import annotations

import re
from typing import Final

_DLE: Final = "\x10"
_WRITTEN: Final = re.compile(_DLE + "([0\x10])")


def name_of(key: str) -> str:
    """Return a key as the table has it; a prefix of a key becomes a prefix of its name."""
    if "\0" in key or _DLE in key:
        return key.replace(_DLE, _DLE + _DLE).replace("\0", _DLE + "0")
    return key


def key_of(name: str) -> str:
    """Return the key that a name stands for."""
    if _DLE in name:
        return _WRITTEN.sub(lambda found: "\0" if found[1] == "0" else _DLE, name)
    return name
