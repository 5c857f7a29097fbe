"""Dapr's fields for signing in with a cloud's token. The field that enables it is refused; the others have no
effect.
"""

from __future__ import annotations

from typing import Final

from pannier_crds.catalogue.model import Field

_WHY: Final = "signing in with a token is not served"

AZURE: Final = tuple(
    Field(name, ignored=_WHY, sensitive=name.endswith(("Secret", "Certificate", "Password")))
    for name in (
        "azureTenantId",
        "azureClientId",
        "azureClientSecret",
        "azureCertificate",
        "azureCertificateFile",
        "azureCertificatePassword",
        "azureEnvironment",
        "azureAuthMethods",
    )
)
AWS: Final = tuple(
    Field(name, ignored=_WHY, sensitive=name.lower().endswith(("accesskey", "secretkey", "sessiontoken")))
    for name in (
        "awsRegion",
        "awsAccessKey",
        "awsSecretKey",
        "awsSessionToken",
        "awsIamRoleArn",
        "region",
        "accessKey",
        "secretKey",
        "sessionToken",
        "assumeRoleArn",
        "assumeRoleSessionName",
        "trustAnchorArn",
        "trustProfileArn",
    )
)
OIDC: Final = tuple(
    Field(name, ignored=_WHY, sensitive=name.endswith(("Secret", "Key")))
    for name in (
        "oidcTokenEndpoint",
        "oidcClientID",
        "oidcClientSecret",
        "oidcScopes",
        "oidcExtensions",
        "oidcClientAssertionCert",
        "oidcClientAssertionKey",
    )
)
