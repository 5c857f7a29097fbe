"""`state.azure.cosmosdb`: Azure Cosmos DB for NoSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.addresses import hosts
from pannier_crds.catalogue import azure_profile, every_state_store
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.catalogue.timeouts import timeout
from pannier_crds.problems import metadata_path, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Setting
    from pannier_crds.problems import Problem

_FIELDS: Final = (
    Field(
        "url",
        description="The account's URI, such as https://NAME.documents.azure.com:443/",
        reads=hosts.full_url,
        required=True,
        form=Form(r"https?://\S+", "a URL", "write https://NAME.documents.azure.com:443/"),
        places_data=True,
    ),
    Field("database", description="Name of the database", required=True, places_data=True),
    Field(
        "collection",
        description="Name of the container; its partition key is /partitionKey",
        required=True,
        places_data=True,
    ),
    Field("masterKey", description="Key of the account; without it the sidecar signs in with Entra ID", sensitive=True),
    *azure_profile.fields(environment="the account"),
    timeout(20.0, "Timeout of one call, attempts included"),
    Field("contentType", ignored="values are kept as the bytes that were sent"),
)


def _one_way_to_sign_in(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    if "masterKey" in given and "azureClientSecret" in given:
        message = "azureClientSecret has no effect beside masterKey"
        yield warning(metadata_path("azureClientSecret"), message, "keep one of them")


TYPES: Final = (
    ComponentType(
        "state.azure.cosmosdb",
        title="Azure Cosmos DB",
        features=("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"),
        fields=(*_FIELDS, *every_state_store.FIELDS),
        rules=(_one_way_to_sign_in, *azure_profile.RULES),
    ),
)
