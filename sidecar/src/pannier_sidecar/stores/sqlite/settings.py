"""What a component says about its SQLite database, read and checked."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote, unquote

from pannier_sidecar.state.errors import StoreRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

Value = str | int | float | bool | None

_IDENTIFIER: Final = re.compile(r"(?a:[A-Za-z_]\w{0,62})")
_PRAGMA: Final = re.compile(r"(?a:(\w+)\((-?\w+)\))")
_ALLOWED_PRAGMAS: Final = (
    "cache_size",
    "max_page_count",
    "mmap_size",
    "synchronous",
    "temp_store",
    "wal_autocheckpoint",
)
_OWN_PRAGMAS: Final = {"busy_timeout": "busyTimeout", "journal_mode": "disableWAL"}
"""What a pragma may not set, because a setting of its own does."""
_WITHOUT_MEANING: Final = ("_txlock", "_time_format", "cache")
"""Parameters of Dapr's driver: transactions are immediate here anyway, and no cache is shared."""
_ENCRYPTION: Final = re.compile(r"key|cipher|crypt", re.IGNORECASE)
_DURABILITY: Final = re.compile(r"sync|secure_delete", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Location:
    """Where the database is."""

    path: str
    """Empty: in memory."""
    uri: str
    is_read_only: bool = False
    may_be_created: bool = True
    pragmas: tuple[str, ...] = ()

    @property
    def is_in_memory(self) -> bool:
        return not self.path

    def __str__(self) -> str:
        return f"database {self.path}" if self.path else "database in memory"


@dataclass(frozen=True, slots=True)
class SQLiteSettings:
    """The component's settings; times in seconds."""

    location: Location
    table: str
    metadata_table: str
    timeout: float
    """Longest time that a call may take, waiting included."""
    busy_timeout: float
    """Longest wait for a lock that another process holds on the file."""
    uses_wal: bool
    cleanup_interval: float
    """Shortest time between two removals of expired rows; 0: they are never removed."""


def read(settings: Mapping[str, Value]) -> SQLiteSettings:
    """Return the settings, with Dapr's defaults. Raises StoreRefused naming the one that is wrong."""
    return SQLiteSettings(
        location=locate(str(settings.get("connectionString") or "")),
        table=_identifier(settings, "tableName", "state"),
        metadata_table=_identifier(settings, "metadataTableName", "metadata"),
        timeout=_seconds(settings, "timeout", 20.0),
        busy_timeout=max(_seconds(settings, "busyTimeout", 2.0), 0.0),
        uses_wal=settings.get("disableWAL") is not True,
        # Dapr never cleans unless told; a file that only grows is no sensible default.
        cleanup_interval=max(_seconds(settings, "cleanupInterval", 3600.0), 0.0),
    )


def locate(connection_string: str) -> Location:
    """Read a path, a `file:` URI or `:memory:`, each with optional `?name=value` parameters, as Dapr does."""
    path, _, query = connection_string.strip().partition("?")
    if path.lower().startswith("file:"):
        path = unquote(path[len("file:") :])
        if path.startswith("//"):
            path = "/" + path[2:].partition("/")[2]  # file:///path and file://localhost/path
    if not path:
        raise StoreRefused(
            "connectionString is missing; write the path of the database file, such as /var/lib/app/state.db, "
            "or :memory: for state that ends with the process"
        )
    parameters = parse_qs(query)
    mode = parameters.pop("mode", ["rwc"])[0]
    is_immutable = parameters.pop("immutable", ["0"])[0] == "1"
    pragmas = tuple(_pragma(text) for text in parameters.pop("_pragma", []))
    for name in parameters.keys() - set(_WITHOUT_MEANING):
        _refuse_promise(name)
        logger.warning("connectionString has a parameter %s that is not known and has no effect", name)
    if path == ":memory:" or mode == "memory":
        return Location("", "file::memory:", pragmas=pragmas)
    if mode not in ("ro", "rw", "rwc"):
        raise StoreRefused(f"connectionString has mode={mode}; write ro, rw, rwc or memory")
    uri = f"file:{quote(path)}?mode={mode}" + ("&immutable=1" if is_immutable else "")
    return Location(path, uri, is_immutable or mode == "ro", mode == "rwc", pragmas)


def _refuse_promise(name: str) -> None:
    """Raise StoreRefused for a parameter of another driver's that somebody may rely on."""
    if _ENCRYPTION.search(name):
        raise StoreRefused(f"connectionString has {name}, but database files are not encrypted here; take it out")
    if _DURABILITY.search(name):
        raise StoreRefused(
            f"connectionString has {name}, which has no effect here; write _pragma=synchronous(FULL) for durable "
            "writes, or take it out"
        )


def _pragma(text: str) -> str:
    match = _PRAGMA.fullmatch(text)
    name = match[1].lower() if match else text
    if name in _OWN_PRAGMAS:
        raise StoreRefused(f"connectionString can't set _pragma={text}; use the setting {_OWN_PRAGMAS[name]}")
    if match is None or name not in _ALLOWED_PRAGMAS:
        raise StoreRefused(
            f"connectionString has _pragma={text}; write _pragma=name(value) with one of {', '.join(_ALLOWED_PRAGMAS)}"
        )
    return f"{name}={match[2]}"


def _identifier(settings: Mapping[str, Value], name: str, default: str) -> str:
    text = str(settings.get(name) or default)
    if _IDENTIFIER.fullmatch(text) is None:
        raise StoreRefused(
            f"{name} {text!r} is no table name; write letters, digits and underscores, not beginning with a digit"
        )
    if text.lower().startswith("sqlite_"):
        raise StoreRefused(f"{name} begins with sqlite_, which SQLite keeps for itself; write another name")
    return text


def _seconds(settings: Mapping[str, Value], name: str, default: float) -> float:
    value = settings.get(name)
    if value is None:
        return default
    if isinstance(value, str):
        raise StoreRefused(f"{name} {value!r} is no number of seconds")
    return float(value)
