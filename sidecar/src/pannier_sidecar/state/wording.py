"""How several faults become one text, and how long a text may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_MESSAGE_CHARS: Final = 4096
"""Characters of an error message: gRPC sends it in a header, whose size clients limit."""
MAX_KEY_CHARS: Final = 200
MAX_FAULTS: Final = 20
"""Number of faults that a message lists, if several items failed."""


def shortened(text: str, maximum: int = MAX_MESSAGE_CHARS) -> str:
    """Return the beginning and end of a longer text; the end has the advice."""
    if len(text) <= maximum:
        return text
    return f"{text[: maximum * 3 // 4]} ... ({len(text) - maximum} characters) ... {text[-maximum // 4 :]}"


def joined_message(faults: Sequence[tuple[str, Exception]]) -> str:
    """Return what failed, (key, fault) each; a single fault needs no key."""
    if len(faults) == 1:
        return str(faults[0][1])
    lines = [f"key {shortened(key, MAX_KEY_CHARS)}: {fault}" for key, fault in faults[:MAX_FAULTS]]
    return "; ".join(lines + _more(faults))


def joined_dapr_message(faults: Sequence[tuple[str, Exception]]) -> str:
    """Return what failed as Dapr joins it: a line each, without keys."""
    return "\n".join([str(fault) for _, fault in faults[:MAX_FAULTS]] + _more(faults))


def _more(faults: Sequence[tuple[str, Exception]]) -> list[str]:
    return [f"and {len(faults) - MAX_FAULTS} more"] if len(faults) > MAX_FAULTS else []
