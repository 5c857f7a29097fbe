"""Reads the component's metadata: which container to use, and how to sign in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pannier_crds.addresses.hosts import full_url
from pannier_crds.given_settings import GivenSettings
from pannier_crds.secret import Secret, shown
from pannier_sidecar.clouds.azure_profile import AzureProfile, read_profile
from pannier_sidecar.network.fields import read_field, shown_addresses
from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting


@dataclass(frozen=True, slots=True)
class CosmosDBSettings:
    """The component's settings."""

    url: str
    database: str
    container: str
    master_key: Secret
    """Empty: sign in with Entra ID."""
    profile: AzureProfile
    """How to sign in without a key."""
    timeout: float
    """Seconds that a call may take, attempts included."""
    shown: str
    """The container's name and address, for messages."""

    def __str__(self) -> str:
        return self.shown


def read_settings(settings: Mapping[str, Setting]) -> CosmosDBSettings:
    """Return the settings. Raises StoreRefusedError naming the one that is missing."""
    given = GivenSettings("state.azure.cosmosdb", settings)
    url, database, container = (_required(given, name) for name in ("url", "database", "collection"))
    scheme, address = read_field("url", url, full_url)
    where = shown_addresses("url", given["url"], (f"{scheme}://{address}",))
    names = [shown(given[name], name) for name in ("collection", "database")]
    return CosmosDBSettings(
        url=url,
        database=database,
        container=container,
        master_key=Secret(_text(given, "masterKey")),
        profile=read_profile(given),
        timeout=given.number("timeout"),
        shown=f"container {names[0]} of database {names[1]} in Cosmos DB ({where})",
    )


def _text(given: GivenSettings, name: str) -> str:
    return given.text(name).strip()


def _required(given: GivenSettings, name: str) -> str:
    text = _text(given, name)
    if not text:
        raise StoreRefusedError(f"{name} is missing; Cosmos DB is found by url, database and collection")
    return text
