"""The fields that name an Azure storage account, and the rules that hold for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.addresses import azure_storage
from pannier_crds.catalogue.model import Field
from pannier_crds.problems import error, metadata_path, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Reader, Setting
    from pannier_crds.problems import Problem

CLOUDS: Final = {
    "AzurePublicCloud": azure_storage.SUFFIX,
    "AzureChinaCloud": "core.chinacloudapi.cn",
    "AzureUSGovernmentCloud": "core.usgovcloudapi.net",
}
"""The end of the names of storage accounts' hosts in each of Azure's clouds."""
_NO_ENTRA: Final = (
    "signing in with Entra ID is not served for storage accounts",
    "take this field out, and write accountKey, or a connectionString with a SAS",
)
_ENTRA: Final = {
    "azureTenantId": ("spnTenantId", "tenantId"),
    "azureClientId": ("spnClientId", "clientId"),
    "azureClientSecret": ("spnClientSecret", "clientSecret"),
    "azureCertificate": ("spnCertificate",),
    "azureCertificateFile": ("spnCertificateFile",),
    "azureCertificatePassword": ("spnCertificatePassword",),
    "azureAuthMethods": ("azureADAuthMethods", "entraIDAuthMethods", "microsoftEntraIDAuthMethods"),
}
"""The fields of a login by Entra ID, and their other names."""
_SENSITIVE: Final = ("azureClientSecret", "azureCertificate", "azureCertificatePassword")

NAME: Final = Field(
    "accountName",
    description="Name of the storage account",
    aliases=("storageAccount", "storageAccountName"),
    reads=azure_storage.account_name,
    places_data=True,
)
KEY: Final = Field(
    "accountKey",
    description="Key of the account",
    aliases=("accessKey", "storageAccessKey", "storageAccountKey"),
    reads=azure_storage.account_key,
    sensitive=True,
)
ENTRA: Final = tuple(
    Field(name, aliases=aliases, sensitive=name in _SENSITIVE, refused=_NO_ENTRA) for name, aliases in _ENTRA.items()
)
ENVIRONMENT: Final = Field(
    "azureEnvironment",
    "choice",
    description="Azure's cloud that the account is in, if no other field gives its address",
    default="AzurePublicCloud",
    choices=tuple(CLOUDS),
    places_data=True,
)


def connection(reads: Reader) -> Field:
    """Return the field of the connection string, for one service."""
    return Field(
        "connectionString",
        description="The account as Azure's portal shows it, with AccountKey or with SharedAccessSignature; instead of "
        "accountName and accountKey",
        reads=reads,
        sensitive=True,
        places_data=True,
    )


def one_account(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    """Yield what is wrong if the account, or what signs calls to it, is given twice or not at all."""
    if "connectionString" in given:
        for name in ("accountName", "accountKey"):
            if name in given:
                message = f"{name} has no effect beside connectionString"
                yield warning(metadata_path(name), message, "keep one of them")
    elif "accountName" not in given:
        message = "accountName is missing, and so is connectionString"
        yield error(metadata_path("accountName"), message, "add accountName and accountKey, or connectionString")
    elif "accountKey" not in given:
        message = "accountKey is missing, and signing in with Entra ID is not served for storage accounts"
        yield error(metadata_path("accountKey"), message, "add accountKey, or a connectionString with a SAS")
