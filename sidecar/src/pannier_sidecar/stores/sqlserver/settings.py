"""The component's metadata, read and checked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from pannier_crds.addresses.hosts import HostPort
from pannier_crds.addresses.sqlserver import data_source
from pannier_crds.catalogue.sqlserver import NAME, IndexedProperty, indexed_properties
from pannier_crds.given_settings import GivenSettings
from pannier_crds.secret import Secret, is_hidden
from pannier_sidecar.clouds.azure_profile import AzureProfile, read_profile
from pannier_sidecar.network.fields import read_field, shown_addresses
from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting

SCOPES: Final = {
    "AzurePublic": "https://database.windows.net/.default",
    "AzureChina": "https://database.chinacloudapi.cn/.default",
    "AzureUSGovernment": "https://database.usgovcloudapi.net/.default",
}
"""What a token of Entra ID must be for, in each of Azure's clouds."""


class SQLServerSettings(Struct, frozen=True):
    """The component's settings; times in seconds."""

    server: HostPort
    user: str
    password: Secret
    profile: AzureProfile | None
    """How to get a token of Entra ID; None: user and password are used."""
    encryption: str
    """One of ENCRYPTIONS in `pannier_crds.addresses.sqlserver`."""
    trusts_any_certificate: bool
    certificate_name: str
    """The name that the server's certificate must have; empty: the server's own."""
    authority_file: str
    """PEM file of the only authority to trust; empty: those of the system."""
    where: str
    """Names the server in messages, and shows nothing that came from a secret."""
    database: str
    may_make_database: bool
    """Whether the database is made if it is missing: not if connectionString names it."""
    schema: str
    table: str
    metadata_table: str
    hides_names: bool
    """Whether a name came from a secret, so that messages show none."""
    key_type: str
    """string, uuid or integer."""
    key_length: int
    """Characters of a key, if the table has to be made."""
    indexed_properties: tuple[IndexedProperty, ...]
    chunk_size: int
    """Maximum number of keys that one statement reads."""
    timeout: float
    """Seconds that a call may take, waiting included."""
    cleanup_interval: float
    """Time between two removals of expired rows; 0: they are never removed."""
    size: int
    """Maximum number of connections."""
    idle_time: float
    """Seconds after which an idle connection is closed."""

    def __repr__(self) -> str:
        return f"SQLServerSettings({self.where}, ...)"

    @property
    def shown_table(self) -> str:
        """The table for messages."""
        return "in tableName" if self.hides_names else f"{self.schema}.{self.table}"

    @property
    def scope(self) -> str:
        """What a token of Entra ID must be for."""
        return SCOPES[self.profile.cloud if self.profile else "AzurePublic"]


def read_settings(settings: Mapping[str, Setting]) -> SQLServerSettings:
    """Return the settings, with Dapr's defaults. Raises StoreRefusedError naming the one that is wrong."""
    given = GivenSettings("state.sqlserver", settings)
    address = given["connectionString"]
    source = read_field("connectionString", address, data_source)
    uses_token = given.is_on("useAzureAD")
    if uses_token is bool(source.user):
        raise StoreRefusedError(
            "connectionString needs user id and password, or else useAzureAD: true; write one of them, and not both"
        )
    if uses_token and source.encryption == "disable":
        raise StoreRefusedError("a token would be readable on the way; take encrypt=disable out of connectionString")
    if source.authority_file and not os.access(source.authority_file, os.R_OK):
        raise StoreRefusedError("certificate in connectionString is no file that can be read; write the path of one")
    hidden_names = ("databaseName", "schemaName", "tableName", "metadataTableName")
    return SQLServerSettings(
        server=source.server,
        user=source.user,
        password=Secret(source.password),
        profile=read_profile(given) if uses_token else None,
        encryption=source.encryption,
        # A token is not given to whoever answers: encrypt=false alone does not give up the check of the certificate.
        trusts_any_certificate=source.trusts_any_certificate and not (uses_token and source.encryption == "optional"),
        certificate_name=source.certificate_name,
        authority_file=source.authority_file,
        where=f"SQL Server at {shown_addresses('connectionString', address, [source.server])}",
        database=source.database or _name(given, "databaseName"),
        may_make_database=not source.database,
        schema=_name(given, "schemaName"),
        table=_name(given, "tableName"),
        metadata_table=_name(given, "metadataTableName"),
        hides_names=any(is_hidden(given[name]) for name in hidden_names),
        key_type=given.text("keyType"),
        key_length=given.whole_number("keyLength"),
        indexed_properties=read_field("indexedProperties", given["indexedProperties"] or "", indexed_properties),
        chunk_size=given.whole_number("bulkGetChunkSize"),
        timeout=given.number("timeout"),
        cleanup_interval=max(given.number("cleanupInterval"), 0.0),
        size=_size(given.whole_number("maxConns")),
        idle_time=given.number("connectionMaxIdleTime"),
    )


def _name(given: GivenSettings, field: str) -> str:
    name = given.text(field)
    if NAME.fullmatch(name) is None:
        raise StoreRefusedError(f"{field} is no name; write up to 110 letters, digits and underscores")
    return name


def _size(wanted: int) -> int:
    return wanted if wanted > 0 else max(4, os.cpu_count() or 1)
