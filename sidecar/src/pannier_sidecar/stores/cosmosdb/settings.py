"""What a component says about its container, and how to sign in there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pannier_sidecar.state.errors import StoreRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting

AUTHORITIES: Final = {
    "AzurePublicCloud": "login.microsoftonline.com",
    "AzureChinaCloud": "login.chinacloudapi.cn",
    "AzureUSGovernmentCloud": "login.microsoftonline.us",
}
"""Who signs in the users of each of Azure's clouds."""


@dataclass(frozen=True, slots=True)
class CosmosDBSettings:
    """The component's settings."""

    url: str
    database: str
    container: str
    master_key: str
    """Empty: sign in with Entra ID."""
    tenant: str
    client: str
    secret: str
    """Empty: take the identity that the machine, pod or environment has."""
    authority: str
    timeout: float
    """Seconds that a call may take, attempts included."""

    def __str__(self) -> str:
        return f"container {self.container} of database {self.database} in Cosmos DB ({self.url})"


def read(settings: Mapping[str, Setting]) -> CosmosDBSettings:
    """Return the settings. Raises StoreRefused naming the one that is missing."""
    return CosmosDBSettings(
        url=_required(settings, "url"),
        database=_required(settings, "database"),
        container=_required(settings, "collection"),
        master_key=_text(settings, "masterKey"),
        tenant=_text(settings, "azureTenantId"),
        client=_text(settings, "azureClientId"),
        secret=_text(settings, "azureClientSecret"),
        authority=AUTHORITIES[_text(settings, "azureEnvironment") or "AzurePublicCloud"],
        timeout=float(settings.get("timeout") or 20.0),
    )


def _text(settings: Mapping[str, Setting], name: str) -> str:
    return str(settings.get(name) or "").strip()


def _required(settings: Mapping[str, Setting], name: str) -> str:
    text = _text(settings, name)
    if not text:
        raise StoreRefused(f"{name} is missing; Cosmos DB is found by url, database and collection")
    return text
