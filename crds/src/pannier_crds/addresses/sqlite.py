"""Where a SQLite database is: a path, a `file:` URI or `:memory:`, each with `?name=value` parameters, as in Dapr.

Spellings of other drivers are refused, because SQLite would take each of them for the name of a file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib import parse

from pannier_crds.addresses.hosts import character
from pannier_crds.problems import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Iterable

PATH: Final = "write the path of the database file, such as /var/lib/app/state.db, or :memory:"
ALLOWED_PRAGMAS: Final = (
    "cache_size",
    "max_page_count",
    "mmap_size",
    "synchronous",
    "temp_store",
    "wal_autocheckpoint",
)
_OWN_PRAGMAS: Final = {"busy_timeout": "busyTimeout", "journal_mode": "disableWAL"}
"""Pragmas that are refused, because a setting does the same."""
_PRAGMA: Final = re.compile(r"(?a:(\w+)\((-?\w{1,32})\))")
_MODES: Final = ("ro", "rw", "rwc", "memory")
_KNOWN: Final = frozenset({"mode", "immutable", "_pragma", "_txlock", "_time_format", "cache"})
_OF_ENCRYPTION: Final = re.compile(r"key|cipher|crypt|auth|passw|passphrase", re.IGNORECASE)
_OF_DURABILITY: Final = re.compile(r"sync|secure_delete", re.IGNORECASE)
_SETTING: Final = re.compile(r"[A-Za-z][A-Za-z _]*=")
_FURTHER_SETTING: Final = re.compile(r";\s*(?:[A-Za-z][A-Za-z _]*=|$)")
_DRIVE: Final = re.compile(r"[A-Za-z]:[\\/]")
_VARIABLE: Final = re.compile(r"(?:^|/)(?:\$\{?\w|%[A-Za-z_]+%)")
_HARMLESS: Final = re.compile(r"(?a:[\w./ -]{1,400})")


class File(NamedTuple):
    """A database as its connection string describes it."""

    path: str
    """Empty: in memory."""
    mode: str
    is_immutable: bool
    pragmas: tuple[str, ...]
    has_unknown_parameters: bool


def read(text: str) -> None:
    """Raise InvalidValueError for a text that does not name a database."""
    locate(text)


def locate(text: str) -> File:
    """Take a connection string apart. Raises InvalidValueError."""
    text = text.strip()
    path, _, query = text.partition("?")
    if path.lower().startswith("file:"):
        path = parse.unquote(path[len("file:") :])
        if path.startswith("//"):
            path = "/" + path[2:].partition("/")[2]  # file:///path and file://localhost/path
    if path != ":memory:":
        _refuse_other_dialects(path)
    if not path:
        raise InvalidValueError("the name of the file is missing", PATH)
    parameters = parse.parse_qs(query, keep_blank_values=True)
    _refuse_promises(parameters.keys() - _KNOWN)
    mode = parameters.get("mode", ["rwc"])[0]
    if mode not in _MODES:
        raise InvalidValueError("its mode is unknown", "write mode=ro, rw, rwc or memory")
    pragmas = tuple(_pragma(each) for each in parameters.get("_pragma", []))
    is_in_memory = path == ":memory:" or mode == "memory"
    is_immutable = parameters.get("immutable", ["0"])[0] == "1"
    return File("" if is_in_memory else path, mode, is_immutable, pragmas, not parameters.keys() <= _KNOWN)


def _refuse_promises(names: Iterable[str]) -> None:
    """Refuse other drivers' parameters for encryption and durability, because users rely on them."""
    if any(_OF_ENCRYPTION.search(name) for name in names):
        message = "a parameter asks for encryption or a login, but database files are not encrypted here"
        raise InvalidValueError(message, "remove it")
    if any(_OF_DURABILITY.search(name) for name in names):
        advice = "write _pragma=synchronous(FULL) for durable writes, or remove it"
        raise InvalidValueError("a parameter asks for durability, and has no effect here", advice)


def is_harmless(path: str) -> bool:
    """Return whether a message may show the path of a database."""
    return is_harmless_path(path, (".db", ".sqlite", ".sqlite3"))


def is_harmless_path(path: str, endings: tuple[str, ...] = (".json",)) -> bool:
    """Return whether a message may show a path: it looks like one and has only the usual characters of paths."""
    return _HARMLESS.fullmatch(path) is not None and ("/" in path or path.endswith(endings))


def _refuse_other_dialects(path: str) -> None:
    """Refuse a text in another driver's spelling: SQLite would create a file of that name, where nobody
    looks for it.
    """
    for place, each in enumerate(path):
        if not each.isprintable():
            raise InvalidValueError(f"{character(path, place)} cannot be printed", PATH)
    if _DRIVE.match(path) or "\\" in path:
        raise InvalidValueError("it is a Windows path", "write a path with '/', without a drive")
    if path.startswith("~"):
        raise InvalidValueError(
            "'~' does not stand for your home folder here", "write the whole path, such as /home/NAME/state.db"
        )
    if _VARIABLE.search(path):
        raise InvalidValueError("variables are not filled in here", "write the whole path, or take it from envRef")
    if _SETTING.match(path) or _FURTHER_SETTING.search(path):
        message = f"{character(path, _first(path, ';='))} separates settings, which are not read from here"
        raise InvalidValueError(message, f"{PATH}, and other settings in their own fields")
    first = path.partition("/")[0]
    if ":" in first:
        message = (
            f"{character(path, first.index(':'))} ends the name of a dialect or host, and only a path is read here"
        )
        raise InvalidValueError(message, PATH)
    if "://" in path or "@" in first:
        raise InvalidValueError(
            f"{character(path, _first(path, ':@'))} stands in a URL, and only a path is read here", PATH
        )


def _first(path: str, signs: str) -> int:
    return next(place for place, each in enumerate(path) if each in signs)


def _pragma(text: str) -> str:
    match = _PRAGMA.fullmatch(text)
    name = match[1].lower() if match else ""
    if name in _OWN_PRAGMAS:
        raise InvalidValueError(f"it can't set _pragma={name}", f"use the setting {_OWN_PRAGMAS[name]}")
    if match is None or name not in ALLOWED_PRAGMAS:
        message = "one of its _pragma parameters is not accepted"
        raise InvalidValueError(message, f"write _pragma=name(value) with one of {', '.join(ALLOWED_PRAGMAS)}")
    return f"{name}={match[2]}"
