"""The component's metadata, with the checks that only this store can make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from pannier_crds.addresses.azure_storage import Account
from pannier_crds.catalogue.azure_account import CLOUDS
from pannier_crds.given_settings import GivenSettings
from pannier_crds.secret import shown
from pannier_sidecar.clouds.azure_profile import AzureProfile, read_profile
from pannier_sidecar.network.azure_storage import read_account
from pannier_sidecar.network.fields import shown_addresses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting

_COSMOS: Final = {
    "AzurePublic": "table.cosmos.azure.com",
    "AzureChina": "table.cosmos.azure.cn",
    "AzureUSGovernment": "table.cosmos.azure.us",
}
"""The end of the names of Cosmos DB's hosts for tables in each of Azure's clouds."""


class TableStorageSettings(Struct, frozen=True):
    """The component's settings, with defaults."""

    account: Account
    """Without key and SAS: calls are signed by a token of Entra ID."""
    profile: AzureProfile
    """How to sign in with Entra ID."""
    table: str
    is_cosmos: bool
    """Whether the table is one of Azure Cosmos DB."""
    may_create: bool
    """Whether a table that does not exist is created."""
    timeout: float
    """Seconds that a call may take."""
    cleanup_interval: float
    """Seconds between removals of expired keys; 0: only those that are read are removed."""
    where: str
    """Names the account in messages, and shows nothing that came from a secret."""
    what: str
    """Names the table in messages."""

    def __repr__(self) -> str:
        return f"TableStorageSettings({self.what!r}, ...)"  # settings may find their way into a log


def read_settings(settings: Mapping[str, Setting]) -> TableStorageSettings:
    """Return the settings. Raises StoreRefusedError, which names the field and says what to write."""
    given = GivenSettings("state.azure.tablestorage", settings)
    profile = read_profile(given)
    is_cosmos = given.is_on("cosmosDbMode")
    host = _COSMOS[profile.cloud] if is_cosmos else f"table.{CLOUDS[profile.cloud]}"
    account, field = read_account(given, "table", "serviceURL", host)
    product = "Azure Cosmos DB" if is_cosmos else "Azure Table Storage"
    where = f"{product} at {shown_addresses(field, given[field], (account.url,))}"
    return TableStorageSettings(
        account=account,
        profile=profile,
        table=given.text("tableName"),
        is_cosmos=is_cosmos,
        may_create=not given.is_on("skipCreateTable"),
        timeout=given.number("timeout"),
        cleanup_interval=max(0.0, given.number("cleanupInterval")),
        where=where,
        what=f"table {shown(given['tableName'], 'tableName')} of {where}",
    )
