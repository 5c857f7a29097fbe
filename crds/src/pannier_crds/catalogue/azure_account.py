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
    "AzurePublic": azure_storage.SUFFIX,
    "AzureChina": "core.chinacloudapi.cn",
    "AzureUSGovernment": "core.usgovcloudapi.net",
}
"""The end of the names of storage accounts' hosts in each of Azure's clouds."""
NAME: Final = Field(
    "accountName",
    description="Name of the storage account",
    aliases=("storageAccount", "storageAccountName"),
    reads=azure_storage.account_name,
    places_data=True,
)
KEY: Final = Field(
    "accountKey",
    description="Key of the account; without it the sidecar signs in with Entra ID",
    aliases=("accessKey", "storageAccessKey", "storageAccountKey"),
    reads=azure_storage.account_key,
    sensitive=True,
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
        yield error(metadata_path("accountName"), message, "add accountName, or connectionString")
    elif "accountKey" in given and "azureClientSecret" in given:
        message = "azureClientSecret has no effect beside accountKey"
        yield warning(metadata_path("azureClientSecret"), message, "keep one of them")
