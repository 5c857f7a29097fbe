"""The component's metadata, read and checked."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from pannier_crds.addresses.sqlite import PATH, is_harmless
from pannier_crds.addresses.sqlite import locate as parse
from pannier_crds.given_settings import GivenSettings
from pannier_crds.problems import InvalidValueError
from pannier_crds.secret import is_hidden, reveal, shown
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
    """The table, for messages."""
    timeout: float
    """Seconds that a call may take, waiting included."""
    busy_timeout: float
    """How long to wait for a lock that another process holds on the file."""
    uses_wal: bool
    cleanup_interval: float
    """Minimum time between two removals of expired rows; 0: they are never removed."""


def read_settings(settings: Mapping[str, Setting]) -> SQLiteSettings:
    """Return the settings, with Dapr's defaults. Raises StoreRefusedError naming the one that is wrong."""
    given = GivenSettings("state.sqlite", settings)
    return SQLiteSettings(
        location=locate(given["connectionString"]),
        table=_identifier(given, "tableName"),
        metadata_table=_identifier(given, "metadataTableName"),
        shown_table=shown(given["tableName"], "tableName"),
        timeout=given.number("timeout"),
        busy_timeout=max(given.number("busyTimeout"), 0.0),
        uses_wal=not given.is_on("disableWAL"),
        cleanup_interval=max(given.number("cleanupInterval"), 0.0),
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


def _identifier(given: GivenSettings, name: str) -> str:
    text = given.text(name)
    if _IDENTIFIER.fullmatch(text) is None:
        raise StoreRefusedError(
            f"{name} is no table name; write letters, digits and underscores, not beginning with a digit"
        )
    if text.lower().startswith("sqlite_"):
        raise StoreRefusedError(f"{name} begins with sqlite_, which SQLite keeps for itself; write another name")
    return text
