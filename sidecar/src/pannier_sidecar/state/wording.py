"""How several faults become one text, and how long a text may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_MESSAGE: Final = 4096
"""Characters of what a caller is told: clients take no more of it in a header of gRPC."""
LONGEST_NAME: Final = 200
MOST_TOLD: Final = 20
"""Faults of which a message tells, where several items failed."""


def shortened(text: str, most: int = LONGEST_MESSAGE) -> str:
    """Return a text of at most so many characters, and some: beginning and end, where advice is."""
    if len(text) <= most:
        return text
    return f"{text[: most * 3 // 4]} ... ({len(text) - most} characters) ... {text[-most // 4 :]}"


def told(faults: Sequence[tuple[str, Exception]]) -> str:
    """Return what failed, (key, fault) each; a single fault needs no key."""
    if len(faults) == 1:
        return str(faults[0][1])
    lines = [f"key {shortened(key, LONGEST_NAME)}: {fault}" for key, fault in faults[:MOST_TOLD]]
    return "; ".join(lines + _more(faults))


def told_by_dapr(faults: Sequence[tuple[str, Exception]]) -> str:
    """Return what failed as Dapr joins it: a line each, without keys."""
    return "\n".join([str(fault) for _, fault in faults[:MOST_TOLD]] + _more(faults))


def _more(faults: Sequence[tuple[str, Exception]]) -> list[str]:
    return [f"and {len(faults) - MOST_TOLD} more"] if len(faults) > MOST_TOLD else []
