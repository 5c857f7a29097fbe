"""The name that was probably meant, for messages about a misspelt one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_NAME_CHARS = 100  # the time of a comparison grows with the square of the length
_MAX_KNOWN = 500  # such as the Secrets of a namespace


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like the given one, ignoring case; None if none is similar or too many are
    known.
    """
    if len(name) > _MAX_NAME_CHARS:
        return None
    by_lower = {candidate.lower(): candidate for candidate in known}
    if len(by_lower) > _MAX_KNOWN:
        return None
    wanted = name.strip().lower()
    if wanted in by_lower:
        return by_lower[wanted]
    import difflib  # imported here: it takes a millisecond and 0.15 MB, which only a mistake should cost

    near = difflib.get_close_matches(wanted, by_lower, n=1, cutoff=0.7)
    return by_lower[near[0]] if near else None
