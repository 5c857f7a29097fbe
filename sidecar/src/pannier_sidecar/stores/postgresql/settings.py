"""What a component says about its PostgreSQL, read and checked."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pannier_crds.secret import is_hidden, number, reveal
from pannier_sidecar.state.errors import StoreRefusedError

from .address import Address, read_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting

_TABLE: Final = re.compile(r"(?a:(?:([A-Za-z_]\w{0,62})\.)?([A-Za-z_]\w{0,62}))")


@dataclass(frozen=True, slots=True)
class PostgreSQLSettings:
    """The component's settings; times in seconds."""

    address: Address
    table: str
    """Quoted, with its schema if it has one."""
    metadata_table: str
    """Likewise."""
    table_prefix: str
    """tablePrefix as written (version 2): part of the name under which the metadata table records the layout."""
    hides_tables: bool
    """A name came from a secret, so none is shown."""
    timeout: float
    """Longest time that a call may take."""
    cleanup_interval: float
    """Time between two removals of expired rows; 0: they are never removed."""
    size: int
    """Most connections."""
    idle_time: float
    """After which an idle connection is closed."""
    keeps_statements: bool
    """Whether a connection keeps statements prepared; a pooler in between may forbid it."""

    @property
    def shown_table(self) -> str:
        """The table for messages."""
        return "in tableName or tablePrefix" if self.hides_tables else self.table


def read_settings(settings: Mapping[str, Setting]) -> PostgreSQLSettings:
    """Return the settings, with Dapr's defaults. Raises StoreRefusedError naming the one that is wrong."""
    address = read_address(settings.get("connectionString"), settings)
    prefix = reveal(settings.get("tablePrefix"))
    return PostgreSQLSettings(
        address=address,
        table=_quoted("tablePrefix", f"{prefix}state") if prefix else _table(settings, "tableName", "state"),
        metadata_table=_table(settings, "metadataTableName", "dapr_metadata"),
        table_prefix=prefix,
        hides_tables=any(is_hidden(settings.get(name)) for name in ("tablePrefix", "tableName", "metadataTableName")),
        timeout=_seconds(settings, "timeout", 20.0),
        cleanup_interval=max(_seconds(settings, "cleanupInterval", 3600.0), 0.0),
        size=_size(settings, address),
        idle_time=_seconds(settings, "connectionMaxIdleTime", 1800.0),
        keeps_statements=settings.get("queryExecMode") in (None, "cache_statement"),
    )


def _table(settings: Mapping[str, Setting], field: str, default: str) -> str:
    return _quoted(field, reveal(settings.get(field)) or default)


def _quoted(field: str, name: str) -> str:
    """Return the name quoted and in lower case, as PostgreSQL reads Dapr's unquoted ones.

    Raises StoreRefusedError naming the field that it comes from.
    """
    match = _TABLE.fullmatch(name)
    if match is None:
        raise StoreRefusedError(
            f"{field} can't name a table; write letters, digits and underscores, not beginning with a digit"
        )
    return ".".join(f'"{part.lower()}"' for part in match.groups() if part)


def _size(settings: Mapping[str, Setting], address: Address) -> int:
    wanted = settings.get("maxConns")
    if isinstance(wanted, int) and wanted > 0:
        return wanted
    return address.size or max(4, os.cpu_count() or 1)


def _seconds(settings: Mapping[str, Setting], name: str, default: float) -> float:
    value = settings.get(name)
    if value is None:
        return default
    if isinstance(value, str):
        raise StoreRefusedError(f"{name} is no number of seconds")
    return number(value, 0.0)
