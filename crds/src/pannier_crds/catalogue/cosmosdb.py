"""`state.azure.cosmosdb`: Azure Cosmos DB for NoSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.addresses import hosts
from pannier_crds.catalogue import every_state_store
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.catalogue.pairs import needs
from pannier_crds.catalogue.timeouts import timeout
from pannier_crds.problems import metadata_path, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Setting
    from pannier_crds.problems import Problem

_CERTIFICATES_REFUSED: Final = (
    "signing in with a certificate is not served",
    "take this field out, and write masterKey or azureClientSecret, or give the pod a managed identity",
)

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
    Field("azureTenantId", description="Tenant of Entra ID", aliases=("spnTenantId", "tenantId")),
    Field(
        "azureClientId",
        description="Client id of the application, or of the managed identity if there are several",
        aliases=("spnClientId", "clientId"),
    ),
    Field(
        "azureClientSecret",
        description="Secret of the application; without it the identity of the machine, pod or environment is used",
        sensitive=True,
        aliases=("spnClientSecret", "clientSecret"),
    ),
    Field(
        "azureEnvironment",
        "choice",
        description="Azure's cloud that the account is in",
        default="AzurePublicCloud",
        choices=("AzurePublicCloud", "AzureChinaCloud", "AzureUSGovernmentCloud"),
    ),
    timeout(20.0, "Timeout of one call, attempts included"),
    Field(
        "azureAuthMethods",
        aliases=("azureADAuthMethods", "entraIDAuthMethods", "microsoftEntraIDAuthMethods"),
        refused=(
            "a component cannot choose the ways to sign in here, so another one could be used",
            "take this field out, and write masterKey or azureClientSecret if no other way may be used",
        ),
    ),
    Field("contentType", ignored="values are kept as the bytes that were sent"),
    Field("azureCertificate", sensitive=True, aliases=("spnCertificate",), refused=_CERTIFICATES_REFUSED),
    Field("azureCertificateFile", aliases=("spnCertificateFile",), refused=_CERTIFICATES_REFUSED),
    Field(
        "azureCertificatePassword", sensitive=True, aliases=("spnCertificatePassword",), refused=_CERTIFICATES_REFUSED
    ),
)


def _one_way_to_sign_in(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    if "masterKey" in given and "azureClientSecret" in given:
        message = "azureClientSecret has no effect beside masterKey"
        yield warning(metadata_path("azureClientSecret"), message, "keep one of them")


_SECRET_HAS_AN_OWNER: Final = needs(("azureClientSecret", "azureTenantId"), ("azureClientSecret", "azureClientId"))


TYPES: Final = (
    ComponentType(
        "state.azure.cosmosdb",
        title="Azure Cosmos DB",
        features=("ETAG", "TRANSACTIONAL", "TTL"),
        fields=(*_FIELDS, *every_state_store.FIELDS),
        rules=(_one_way_to_sign_in, _SECRET_HAS_AN_OWNER),
    ),
)
