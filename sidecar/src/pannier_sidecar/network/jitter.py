"""Random pauses, so that sidecars that have lost the same server do not all come back to it at the same moment."""

from __future__ import annotations

import os
from typing import Final

_BITS: Final = 56


def uniform(low: float, high: float) -> float:
    """Return a random number between two others. The module `random` would take 0.1 MB."""
    return low + (high - low) * int.from_bytes(os.urandom(_BITS // 8)) / (1 << _BITS)
