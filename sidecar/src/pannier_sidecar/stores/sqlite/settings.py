"""The component's metadata, read and checked."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from pannier_crds.addresses.sqlite import PATH, is_harmless
from pannier_crds.addresses.sqlite import locate as parse
from pannier_crds.problems import InvalidValueError
from pannier_crds.secret import is_hidden, number, reveal, shown
from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting

logger = logging.getLogger(__name__)

_IDENTIFIER: Final = re.compile(r"(?a:[A-Za-z_]\w{0,62})")


@dataclass(frozen=True, slots=True)
class Location:
    """Where the database is."""

    path: str
    """Empty: in memory."""
    uri: str
    is_read_only: bool = False
    may_be_created: bool = True
    pragmas: tuple[str, ...] = ()
    may_be_shown: bool = field(default=False, compare=False)
    """Whether messages may show the path: it is not from a secret, and cannot be anything but a path."""

    @property
    def is_in_memory(self) -> bool:
        return not self.path

    def __str__(self) -> str:
        if not self.path:
            return "database in memory"
        return f"database {self.path}" if self.may_be_shown else "the database that connectionString names"


@dataclass(frozen=True, slots=True)
class SQLiteSettings:
    """The component's settings; times in seconds."""

    location: Location
    table: str
    metadata_table: str
    shown_table: str
    """For messages."""
    timeout: float
    """What a call may take, waiting included."""
    busy_timeout: float
    """How long to wait for a lock that another process holds on the file."""
    uses_wal: bool
    cleanup_interval: float
    """Minimum time between two removals of expired rows; 0: they are never removed."""


def read_settings(settings: Mapping[str, Setting]) -> SQLiteSettings:
    """Return the settings, with Dapr's defaults. Raises StoreRefusedError naming the one that is wrong."""
    return SQLiteSettings(
        location=locate(settings.get("connectionString")),
        table=_identifier(settings, "tableName", "state"),
        metadata_table=_identifier(settings, "metadataTableName", "metadata"),
        shown_table=shown(settings.get("tableName") or "state", "tableName"),
        timeout=_seconds(settings, "timeout", 20.0),
        busy_timeout=max(_seconds(settings, "busyTimeout", 2.0), 0.0),
        uses_wal=settings.get("disableWAL") is not True,
        # Dapr never cleans by default; a file that only grows is no sensible default.
        cleanup_interval=max(_seconds(settings, "cleanupInterval", 3600.0), 0.0),
    )


def locate(connection_string: Setting) -> Location:
    """Read a path, a `file:` URI or `:memory:`, each with optional `?name=value` parameters, as Dapr does."""
    if not reveal(connection_string).strip():
        raise StoreRefusedError(f"connectionString is missing; {PATH}")
    try:
        file = parse(reveal(connection_string))
    except InvalidValueError as wrong:
        raise StoreRefusedError(f"connectionString names no database: {wrong.message}; {wrong.advice}") from None
    if file.has_unknown_parameters:
        logger.warning("connectionString has a parameter that is not known and has no effect")
    if not file.path:
        return Location("", "file::memory:", pragmas=file.pragmas)
    uri = f"file:{quote(file.path)}?mode={file.mode}" + ("&immutable=1" if file.is_immutable else "")
    may_be_shown = is_harmless(file.path) and not is_hidden(connection_string)
    return Location(
        file.path, uri, file.is_immutable or file.mode == "ro", file.mode == "rwc", file.pragmas, may_be_shown
    )


def _identifier(settings: Mapping[str, Setting], name: str, default: str) -> str:
    text = reveal(settings.get(name)) or default
    if _IDENTIFIER.fullmatch(text) is None:
        raise StoreRefusedError(
            f"{name} is no table name; write letters, digits and underscores, not beginning with a digit"
        )
    if text.lower().startswith("sqlite_"):
        raise StoreRefusedError(f"{name} begins with sqlite_, which SQLite keeps for itself; write another name")
    return text


def _seconds(settings: Mapping[str, Setting], name: str, default: float) -> float:
    value = settings.get(name)
    if value is None:
        return default
    if isinstance(value, str):
        raise StoreRefusedError(f"{name} is no number of seconds")
    return number(value, 0.0)
