"""`state.azure.blobstorage`: a container of Azure Blob Storage, in the layouts of Dapr's two versions of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.addresses import azure_storage
from pannier_crds.catalogue import azure_account, azure_profile, every_state_store
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.catalogue.timeouts import timeout
from pannier_crds.problems import metadata_path, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Setting
    from pannier_crds.problems import Problem

FIELDS: Final = (
    azure_account.NAME,
    azure_account.KEY,
    azure_account.connection(azure_storage.blob_connection),
    Field(
        "containerName",
        description="Name of the container",
        aliases=("container", "storageAccountContainer"),
        form=Form(
            r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
            "the name of a container",
            "write 3 to 63 lower-case letters, digits and single '-', with none of these at the ends",
        ),
        required=True,
        places_data=True,
    ),
    Field(
        "endpoint",
        description="URL before the account's name, where it is not Azure's, such as http://127.0.0.1:10000",
        aliases=("storageEndpoint", "storageAccountEndpoint"),
        reads=azure_storage.service_url,
        places_data=True,
    ),
    Field(
        "publicAccessLevel",
        "choice",
        description="What anybody may read without a key, if the container has to be created",
        default="none",
        choices=("none", "blob", "container"),
    ),
    Field(
        "disableEntityManagement",
        "boolean",
        description="Whether the container must exist; otherwise it is created",
        default=False,
    ),
    timeout(20.0),
    *azure_profile.fields(environment="the account"),
    Field(
        "retryCount",
        "integer",
        aliases=("getBlobRetryCount",),
        ignored="a read is sent again if its connection is lost, and a Resiliency says what else is tried again",
    ),
)


def _not_for_everybody(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    if settings.get("publicAccessLevel") not in (None, "none") and "publicAccessLevel" in given:
        path = metadata_path("publicAccessLevel")
        yield warning(path, "anybody who knows the address may read all state", "take publicAccessLevel out")


TYPES: Final = tuple(
    ComponentType(
        "state.azure.blobstorage",
        title=title,
        versions=(version,),
        features=("ETAG", "KEYS_LIKE"),
        fields=(*FIELDS, *every_state_store.FIELDS),
        rules=(azure_account.one_account, _not_for_everybody, *azure_profile.RULES),
    )
    for title, version in (("Azure Blob Storage", "v1"), ("Azure Blob Storage, version 2", "v2"))
)
