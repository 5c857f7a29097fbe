"""Parse URLs whose authority may hold a user and a password, by hand, so that each error can give a position."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote_plus

from pannier_crds.addresses.hosts import character
from pannier_crds.problems import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Iterator

ESCAPES: Final = "write %2F for '/', %3F for '?', %23 for '#', %40 for '@' and %25 for '%' in the user and the password"
_WRONG_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NAME: Final = re.compile(r"(?a:[\w.-]{1,64})")


class Authority(NamedTuple):
    """The parts of a URL between `://` and the path. Positions are those of the whole URL, counted from 0."""

    user_info: str
    hosts: str
    hosts_at: int
    end: int
    """Where the authority ends and the path, the query or the fragment begins."""
    path_end: int
    query_at: int | None
    """Where the query begins, after its `?`; None: there is none."""


def split_authority(text: str, start: int) -> Authority:
    """Parse a URL whose authority starts at `start`. Raises InvalidValueError, also if a password may have cut it
    short.
    """
    end = next((place for place in range(start, len(text)) if text[place] in "/?#"), len(text))
    authority = text[start:end]
    query_at = text.find("?", end)
    path_end = query_at if query_at >= 0 else len(text)
    if _is_cut(authority, text[end:path_end], text[path_end:]):
        raise InvalidValueError(
            f"{character(text, end)} ends the host, and a password seems to continue after it", ESCAPES
        )
    if "#" in text[end:]:
        raise InvalidValueError(f"{character(text, text.index('#', end))} has no place in this URL", ESCAPES)
    if any(each.isspace() or not each.isprintable() for each in text):
        place = next(place for place, each in enumerate(text) if each.isspace() or not each.isprintable())
        raise InvalidValueError(f"{character(text, place)} is a space or cannot be printed", "write it as %XX")
    user_info, at, hosts = authority.rpartition("@")
    if "@" in user_info:
        raise InvalidValueError(
            f"{character(text, start + user_info.index('@'))} is inside the user or password", ESCAPES
        )
    hosts_at = start + len(user_info) + len(at)
    return Authority(user_info, hosts, hosts_at, end, path_end, query_at + 1 if query_at >= 0 else None)


def _is_cut(authority: str, path: str, query: str) -> bool:
    """Return whether a '/', '?' or '#' in a password seems to have ended the authority early."""
    if "@" in path or path.startswith("#"):
        return True
    before, at, _ = query.partition("@")
    return bool(at) and "@" not in authority and ":" in authority and "=" not in before


def check_escapes(text: str, offset: int) -> None:
    """Raise InvalidValueError for a `%` that does not begin an escape."""
    wrong = _WRONG_ESCAPE.search(text)
    if wrong is not None:
        raise InvalidValueError(f"{character(text, wrong.start(), offset)} does not begin a %XX", "write %25 for '%'")


def query_pairs(text: str, start: int | None) -> Iterator[tuple[str, str, int]]:
    """Yield each name, its decoded value, and where the value begins.

    Raises InvalidValueError for a part that is not a pair.
    """
    if start is None:
        return
    place = start
    for pair in text[start:].split("&"):
        name, equals, value = pair.partition("=")
        if pair and (not equals or _NAME.fullmatch(name) is None):
            message = f"what begins at character {place + 1} is not name=value"
            raise InvalidValueError(message, "write ?NAME=VALUE&NAME=VALUE after the rest")
        if pair:
            check_escapes(value, place + len(name) + 1)
            yield name, unquote_plus(value), place + len(name) + 1
        place += len(pair) + 1
