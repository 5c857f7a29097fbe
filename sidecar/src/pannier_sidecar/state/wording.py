"""Joins several errors into one text, limits its length, and writes a text so that a header may carry it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_MESSAGE_CHARS: Final = 4096
"""Characters of an error message: gRPC sends it in a header, whose size clients limit."""
MAX_KEY_CHARS: Final = 200
MAX_ERRORS: Final = 20
"""Number of errors that a message lists, if several items failed."""


ADVICE: Final = b"pannier-advice"
"""A header (of gRPC a trailer) of Pannier's own, where Dapr's message and details leave no place for advice."""
_PLAIN: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def percent_encoded(text: str) -> bytes:
    """Return a text as gRPC's `grpc-message` carries it."""
    return parse.quote_from_bytes(text.encode(), safe=_PLAIN).encode()


def shortened(text: str, maximum: int = MAX_MESSAGE_CHARS) -> str:
    """Shorten a long text to its beginning and end; the end has the advice."""
    if len(text) <= maximum:
        return text
    return f"{text[: maximum * 3 // 4]} ... ({len(text) - maximum} characters) ... {text[-maximum // 4 :]}"


def joined_message(errors: Sequence[tuple[str, Exception]]) -> str:
    """Return the text for failures, each a (key, error); a single error needs no key."""
    if len(errors) == 1:
        return str(errors[0][1])
    lines = [f"key {shortened(key, MAX_KEY_CHARS)}: {error}" for key, error in errors[:MAX_ERRORS]]
    return "; ".join(lines + _more(errors))


def joined_dapr_message(errors: Sequence[tuple[str, Exception]]) -> str:
    """Return the text for failures as Dapr joins it: a line each, without keys, in Dapr's words where an error has
    them.
    """
    texts = [getattr(error, "dapr_text", None) or str(error) for _, error in errors[:MAX_ERRORS]]
    return "\n".join(texts + _more(errors))


def _more(errors: Sequence[tuple[str, Exception]]) -> list[str]:
    return [f"and {len(errors) - MAX_ERRORS} more"] if len(errors) > MAX_ERRORS else []
