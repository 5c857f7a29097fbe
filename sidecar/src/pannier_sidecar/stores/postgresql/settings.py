"""The component's metadata, read and checked."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pannier_crds.given_settings import GivenSettings
from pannier_crds.secret import is_hidden
from pannier_sidecar.state.errors import StoreRefusedError

from .address import Address, read_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.clouds.aws import AwsProfile
    from pannier_sidecar.clouds.azure_profile import AzureProfile
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
    """Whether a name came from a secret, so that messages show none."""
    timeout: float
    """Seconds that a call may take, waiting included."""
    cleanup_interval: float
    """Time between two removals of expired rows; 0: they are never removed."""
    size: int
    """Maximum number of connections."""
    idle_time: float
    """Seconds after which an idle connection is closed."""
    profile: AzureProfile | AwsProfile | None
    """Whose tokens are the password; None: there are none."""
    keeps_statements: bool
    """Whether a connection keeps statements prepared; a pooler in between may forbid it."""
    pushes_changes: bool
    """Whether feeds have the database push changes; False: all ETags are read again from time to time."""

    @property
    def shown_table(self) -> str:
        """The table for messages."""
        return "in tableName or tablePrefix" if self.hides_tables else self.table


def read_settings(settings: Mapping[str, Setting]) -> PostgreSQLSettings:
    """Return the settings, with Dapr's defaults. Raises StoreRefusedError naming the one that is wrong."""
    given = GivenSettings("state.postgresql", settings)
    address = read_address(given["connectionString"], given)
    prefix = given.text("tablePrefix")
    return PostgreSQLSettings(
        address=address,
        table=_quoted("tablePrefix", f"{prefix}state") if prefix else _table(given, "tableName"),
        metadata_table=_table(given, "metadataTableName"),
        table_prefix=prefix,
        hides_tables=any(is_hidden(given[name]) for name in ("tablePrefix", "tableName", "metadataTableName")),
        timeout=given.number("timeout"),
        cleanup_interval=max(given.number("cleanupInterval"), 0.0),
        size=_size(given.whole_number("maxConns"), address),
        idle_time=given.number("connectionMaxIdleTime"),
        profile=_profile(given),
        keeps_statements=given["queryExecMode"] == "cache_statement",
        pushes_changes=given["changes"] == "push",
    )


def _profile(given: GivenSettings) -> AzureProfile | AwsProfile | None:
    if not given.is_on("useAzureAD") and not given.is_on("useAWSIAM"):
        return None
    from pannier_sidecar.clouds.database_tokens import read_profile  # few components sign in so

    return read_profile(given)


def _table(given: GivenSettings, field: str) -> str:
    return _quoted(field, given.text(field))


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


def _size(wanted: int, address: Address) -> int:
    return wanted if wanted > 0 else address.size or max(4, os.cpu_count() or 1)
