"""The component's metadata, read and checked."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from pannier_crds.addresses.hosts import HostPort
from pannier_crds.addresses.mysql import DataSource, check_token, data_source
from pannier_crds.given_settings import GivenSettings
from pannier_crds.problems import InvalidValueError
from pannier_crds.secret import Secret, is_hidden
from pannier_sidecar.network.fields import read_field, shown_addresses
from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    # This Struct is neither encoded nor decoded, so its annotations are never evaluated.
    from pannier_sidecar.clouds.aws import AwsProfile  # noqa: TC004
    from pannier_sidecar.clouds.azure_profile import AzureProfile  # noqa: TC004
    from pannier_sidecar.state.store import Setting

_NAME: Final = re.compile(r"(?a:\w{1,64})")


class MySQLSettings(Struct, frozen=True):
    """The component's settings; times in seconds."""

    server: HostPort | None
    """The server; None for a Unix socket."""
    socket: str
    """Path of the Unix socket, or empty."""
    user: str
    password: Secret
    tls: str
    """One of `TLS` in `pannier_crds.addresses.mysql`."""
    authority_file: str
    """PEM file of the only authority to trust; empty: those of the system."""
    sends_password_as_text: bool
    """Whether the server may ask for the password as it is, over TLS; it always does for a token."""
    profile: AzureProfile | AwsProfile | None
    """Whose tokens are the password; None: `password` is."""
    where: str
    """Names the server in messages, and shows nothing that came from a secret."""
    schema: str
    """Name of the database."""
    table: str
    metadata_table: str
    hides_names: bool
    """Whether a name came from a secret, so that messages show none."""
    timeout: float
    """Seconds that a call may take, waiting included."""
    cleanup_interval: float
    """Time between two removals of expired rows; 0: they are never removed."""
    size: int
    """Maximum number of connections."""
    idle_time: float
    """Seconds after which an idle connection is closed."""

    def __repr__(self) -> str:
        return f"MySQLSettings({self.where}, ...)"

    @property
    def shown_table(self) -> str:
        """The table for messages."""
        return "in tableName" if self.hides_names else f"{self.schema}.{self.table}"


def read_settings(settings: Mapping[str, Setting]) -> MySQLSettings:
    """Return the settings, with Dapr's defaults. Raises StoreRefusedError naming the one that is wrong."""
    given = GivenSettings("state.mysql", settings)
    address = given["connectionString"]
    source = read_field("connectionString", address, data_source)
    profile = _profile(given, source)
    shown = "its Unix socket" if source.server is None else source.server
    return MySQLSettings(
        server=source.server,
        socket=source.socket,
        user=source.user,
        password=Secret(source.password),
        tls=source.tls,
        authority_file=_authority_file(given, source),
        sends_password_as_text=source.sends_password_as_text or profile is not None,
        profile=profile,
        where=f"MySQL at {shown_addresses('connectionString', address, [shown])}",
        schema=_name(given, "schemaName"),
        table=_name(given, "tableName"),
        metadata_table=_name(given, "metadataTableName"),
        hides_names=any(is_hidden(given[name]) for name in ("schemaName", "tableName", "metadataTableName")),
        timeout=given.number("timeout"),
        cleanup_interval=max(given.number("cleanupInterval"), 0.0),
        size=_size(given.whole_number("maxConns")),
        idle_time=given.number("connectionMaxIdleTime"),
    )


def _profile(given: GivenSettings, source: DataSource) -> AzureProfile | AwsProfile | None:
    if not given.is_on("useAzureAD") and not given.is_on("useAWSIAM"):
        return None
    try:
        check_token(source, by_aws=not given.is_on("useAzureAD"))
    except InvalidValueError as wrong:
        raise StoreRefusedError(f"connectionString: {wrong.message}; {wrong.advice}") from None
    from pannier_sidecar.clouds.database_tokens import read_profile  # few components sign in so

    return read_profile(given)


def _authority_file(given: GivenSettings, source: DataSource) -> str:
    """Return pemPath, which must be used: without tls=custom nothing would be encrypted."""
    path = given.text("pemPath")
    if bool(path) is not (source.tls == "custom"):
        raise StoreRefusedError("pemPath and tls=custom in connectionString go together; write both, or neither")
    if path and not os.access(path, os.R_OK):
        raise StoreRefusedError("pemPath is no file that can be read; write the path of one")
    return path


def _name(given: GivenSettings, field: str) -> str:
    name = given.text(field)
    if _NAME.fullmatch(name) is None:
        raise StoreRefusedError(f"{field} is no name; write up to 64 letters, digits and underscores")
    return name


def _size(wanted: int) -> int:
    return wanted if wanted > 0 else max(4, os.cpu_count() or 1)
