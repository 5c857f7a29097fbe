"""Kubernetes quantities, `100m` and `64Mi`, as numbers that can be compared."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_QUANTITY: Final = re.compile(
    r"(\d{1,15}(?:\.\d{0,9})?|\.\d{1,9})(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,2}))?", re.ASCII
)
_UNITS: Final = {
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("n", "u", "m", "", "k", *"MGTPE"), -3)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}


def amount_of(quantity: str) -> Decimal:
    """Return the number that a quantity stands for. Raises ValueError."""
    match = _QUANTITY.fullmatch(quantity)
    if match is None:
        raise ValueError("not a quantity")
    return Decimal(match[1]) * _UNITS[match[2] or ""] * Decimal(10) ** int(match[3] or 0)
