"""`secretstores.azure.keyvault`: the secrets of an Azure Key Vault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.addresses import hosts
from pannier_crds.catalogue import azure_profile, every_secret_store
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.problems import error, metadata_path, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Setting
    from pannier_crds.problems import Problem

SUFFIXES: Final = {
    "vault.azure.net": "AzurePublicCloud",
    "vault.azure.cn": "AzureChinaCloud",
    "vault.usgovcloudapi.net": "AzureUSGovernmentCloud",
}
"""The ends of the host names of vaults, and Azure's cloud that each is in."""
VAULT: Final = r"[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]"
_ENDS: Final = "|".join(suffix.replace(".", r"\.") for suffix in SUFFIXES)


def _one_vault(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    if "vaultName" in given and "vaultUrl" in given:
        yield warning(metadata_path("vaultName"), "vaultName has no effect beside vaultUrl", "keep one of them")
    elif not {"vaultName", "vaultUrl"} & given:
        message = "secretstores.azure.keyvault needs 'vaultName'"
        yield error(metadata_path("vaultName"), message, "add it under spec.metadata")


TYPES: Final = (
    ComponentType(
        "secretstores.azure.keyvault",
        title="Azure Key Vault",
        fields=(
            Field(
                "vaultName",
                description="Name of the vault, or its URL, such as https://NAME.vault.azure.net",
                form=Form(
                    rf"(?i:(https://)?{VAULT}(\.({_ENDS})/?)?)",
                    "the name of a vault",
                    "write 3 to 24 letters, digits and '-', or https://NAME.vault.azure.net",
                ),
            ),
            Field(
                "vaultUrl",
                description="URL of a vault whose host has another end, such as one of Azure Stack Hub",
                reads=hosts.full_url,
                form=Form(r"https://[^\s/]+/?", "the URL of a vault", "write https://HOST, without a path"),
            ),
            *azure_profile.fields(environment="the vault"),
            *every_secret_store.FIELDS,
        ),
        rules=(_one_vault, *azure_profile.RULES),
    ),
)
