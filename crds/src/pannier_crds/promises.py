"""Unknown fields whose names promise something, such as encryption: if they were ignored, nobody would notice the
broken promise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pannier_crds.problems import listed
from pannier_crds.values import parse_boolean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pannier_crds.component import MetadataItem


@dataclass(frozen=True, slots=True)
class Promise:
    """What people rely on when they write such a field."""

    words: str
    names: re.Pattern[str]
    """Matches the names of fields that promise it, and of the store's fields that keep it."""
    other_way: str


_PROMISES: Final = (
    Promise(
        "an encrypted connection",
        re.compile(r"tls|ssl|cert(?!ain)", re.IGNORECASE),
        "for this store, only its address can ask for encryption",
    ),
    Promise(
        "the encryption of what is stored",
        re.compile(r"encrypt|cipher", re.IGNORECASE),
        "encrypt values in the app, or let the database encrypt its disks",
    ),
    Promise(
        "this consistency or durability",
        re.compile(r"consisten|durab|isolation|quorum|fsync|synchron|(read|write)_?concern", re.IGNORECASE),
        "ask for strong consistency in the requests that need it",
    ),
)
_WEAKENS: Final = re.compile(r"insecure|skip|disable|async", re.IGNORECASE)


def promised_by(item: MetadataItem) -> Promise | None:
    """Return what an unknown field promises; None if it promises nothing, or its value turns the promise off."""
    asks = item.is_reference or (item.value is not None and not _says_no(item.value))
    if not asks or _WEAKENS.search(item.name):
        return None
    return next((promise for promise in _PROMISES if promise.names.search(item.name)), None)


def ways_to(promise: Promise, known: Iterable[str]) -> str:
    """Return the store's fields that keep the promise, or other advice."""
    able = [name for name in known if promise.names.search(name) and not _WEAKENS.search(name)]
    return f"this store has {listed(able)}" if able else promise.other_way


def _says_no(text: str) -> bool:
    return not text.strip() or parse_boolean(text) is False or text.strip().lower() in ("none", "disable", "disabled")
