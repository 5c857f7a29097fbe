"""The Azure profile of a component: how it signs in with Entra ID. It needs nothing of Microsoft's client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pannier_crds.catalogue.azure_profile import METHODS, auth_methods
from pannier_crds.secret import Secret

if TYPE_CHECKING:
    from pannier_crds.given_settings import GivenSettings

AUTHORITIES: Final = {
    "AzurePublic": "login.microsoftonline.com",
    "AzureChina": "login.chinacloudapi.cn",
    "AzureUSGovernment": "login.microsoftonline.us",
}
"""Hosts where the users of each of Azure's clouds sign in."""


@dataclass(frozen=True, slots=True)
class AzureProfile:
    """The fields of `catalogue/azure_profile.py`, typed."""

    tenant: str
    client: str
    secret: Secret
    certificate: Secret
    certificate_file: str
    certificate_password: Secret
    cloud: str
    """AzurePublic, AzureChina or AzureUSGovernment."""
    methods: tuple[str, ...]
    """Short names of the ways to sign in, in their order."""

    @property
    def authority(self) -> str | None:
        """Where the component signs in; None: where AZURE_AUTHORITY_HOST says, or in Azure's public cloud."""
        return None if self.cloud == "AzurePublic" else AUTHORITIES[self.cloud]


def read_profile(given: GivenSettings) -> AzureProfile:
    """Return the profile."""
    methods = given.text("azureAuthMethods")
    return AzureProfile(
        tenant=given.text("azureTenantId").strip(),
        client=given.text("azureClientId").strip(),
        secret=Secret(given.text("azureClientSecret").strip()),
        certificate=given.secret("azureCertificate"),
        certificate_file=given.text("azureCertificateFile"),
        certificate_password=given.secret("azureCertificatePassword"),
        cloud=given.text("azureEnvironment").removesuffix("Cloud"),
        methods=auth_methods(methods) if methods else tuple(METHODS.values()),
    )
