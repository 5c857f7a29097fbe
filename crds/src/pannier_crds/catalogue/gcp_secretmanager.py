"""`secretstores.gcp.secretmanager`: the secrets of a project in Google Cloud's Secret Manager."""

from __future__ import annotations

from typing import Final

from pannier_crds.addresses import hosts
from pannier_crds.catalogue import every_secret_store
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.catalogue.pairs import both_or_none, needs

_UNUSED: Final = "signing in does not need it"

TYPES: Final = (
    ComponentType(
        "secretstores.gcp.secretmanager",
        title="GCP Secret Manager",
        fields=(
            Field(
                "project_id",
                description="Id or number of the project",
                required=True,
                aliases=("projectId",),
                form=Form(r"(?a:[a-z0-9][a-z0-9.:-]{0,99})", "the id of a project", "write one such as shop-123"),
            ),
            Field(
                "type",
                "choice",
                description="Kind of the credentials that the next fields hold",
                default="service_account",
                choices=("service_account",),
            ),
            Field(
                "private_key_id",
                description="Id of the service account's key; without it the credentials of the pod, the machine or "
                "the environment (GOOGLE_APPLICATION_CREDENTIALS) are used",
                aliases=("privateKeyId",),
            ),
            Field(
                "private_key",
                description="Key of the service account, PEM text",
                sensitive=True,
                aliases=("privateKey",),
            ),
            Field("client_email", description="E-mail of the service account", aliases=("clientEmail",)),
            Field(
                "token_uri",
                description="Where the service account signs in",
                default="https://oauth2.googleapis.com/token",
                aliases=("tokenUri",),
                form=Form(r"https?://[^\s/]+/\S*", "a URL", "write https://oauth2.googleapis.com/token"),
            ),
            Field("client_id", aliases=("clientId",), ignored=_UNUSED),
            Field("auth_uri", aliases=("authUri",), ignored=_UNUSED),
            Field(
                "auth_provider_x509_cert_url",
                aliases=("authProviderX509CertUrl", "authProviderCertUrl"),
                ignored=_UNUSED,
            ),
            Field("client_x509_cert_url", aliases=("clientX509CertUrl", "clientCertUrl"), ignored=_UNUSED),
            Field(
                "endpoint",
                description="URL of Secret Manager's API, for example of Private Service Connect",
                default="https://secretmanager.googleapis.com",
                reads=hosts.full_url,
                form=Form(r"https?://[^\s/]+/?", "an endpoint", "write https://HOST, without a path"),
            ),
            *every_secret_store.FIELDS,
        ),
        rules=(
            needs(
                *both_or_none("private_key", "private_key_id"),
                ("private_key_id", "client_email"),
                or_remove=True,
            ),
        ),
    ),
)
