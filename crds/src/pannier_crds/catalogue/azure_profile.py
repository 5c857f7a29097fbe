"""Dapr's fields for signing in to Azure with Entra ID, which every component of an Azure service has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.catalogue.model import Field
from pannier_crds.catalogue.pairs import needs
from pannier_crds.problems import InvalidValueError, error, metadata_path, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Rule, Setting
    from pannier_crds.problems import Problem

METHODS: Final = {
    "clientcredentials": "creds",
    "clientcertificate": "cert",
    "workloadidentity": "wi",
    "managedidentity": "mi",
    "commandlineinterface": "cli",
}
"""The ways to sign in, in the order in which they are tried, and their short names."""
_NO_DISCOVERY: Final = "signing in asks no server whether the authority is Microsoft's"
_CLOUDS: Final = ("AzurePublicCloud", "AzureChinaCloud", "AzureUSGovernmentCloud")


def auth_methods(text: str) -> tuple[str, ...]:
    """Return the short names of ways to sign in, separated by commas. Raises InvalidValueError."""
    found = []
    for written in text.split(","):
        name = written.strip().lower()
        method = METHODS.get(name, name)
        if method not in METHODS.values():
            advice = f"write {', '.join(METHODS)}, or some of them"
            raise InvalidValueError("a way to sign in is not known or not served", advice)
        found.append(method)
    return tuple(found)


def fields(*, environment: str) -> tuple[Field, ...]:
    """Return the fields; `environment` describes what is in Azure's cloud."""
    return (
        Field("azureTenantId", description="Tenant of Entra ID", aliases=("spnTenantId", "tenantId")),
        Field(
            "azureClientId",
            description="Client id of the application, or of the managed identity if there are several",
            aliases=("spnClientId", "clientId"),
        ),
        Field(
            "azureClientSecret",
            description="Secret of the application; without secret and certificate the identity of the pod, machine "
            "or environment is used",
            sensitive=True,
            aliases=("spnClientSecret", "clientSecret"),
        ),
        Field(
            "azureCertificate",
            description="Certificate of the application with its key: PEM text, or PKCS#12 in base64",
            sensitive=True,
            aliases=("spnCertificate",),
        ),
        Field(
            "azureCertificateFile",
            description="Path of a file with the certificate and its key, PEM or PKCS#12",
            aliases=("spnCertificateFile",),
        ),
        Field(
            "azureCertificatePassword",
            description="Password of the certificate's key",
            sensitive=True,
            aliases=("spnCertificatePassword",),
        ),
        Field(
            "azureEnvironment",
            "choice",
            description=f"Azure's cloud that {environment} is in",
            aliases=("azureCloud",),
            default=_CLOUDS[0],
            choices=(*_CLOUDS, *(name.removesuffix("Cloud") for name in _CLOUDS)),
        ),
        Field(
            "azureAuthMethods",
            description="Ways to sign in, in the order in which they are tried, separated by commas: "
            + ", ".join(f"{name} ({short})" for name, short in METHODS.items())
            + "; without it, all that are possible",
            aliases=("azureADAuthMethods", "entraIDAuthMethods", "microsoftEntraIDAuthMethods"),
            reads=auth_methods,
        ),
        Field("azureDisableInstanceDiscovery", ignored=_NO_DISCOVERY),
    )


def _certificate_is_whole(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    both = {"azureCertificate", "azureCertificateFile"} <= given
    if both:
        message = "azureCertificateFile has no effect beside azureCertificate"
        yield warning(metadata_path("azureCertificateFile"), message, "keep one of them")
    elif "azureCertificatePassword" in given and not {"azureCertificate", "azureCertificateFile"} & given:
        message = "azureCertificatePassword needs azureCertificate or azureCertificateFile"
        yield error(metadata_path("azureCertificatePassword"), message, "add one of them, or remove the password")


RULES: Final[tuple[Rule, ...]] = (
    needs(
        *(
            (name, other)
            for name in ("azureClientSecret", "azureCertificate", "azureCertificateFile")
            for other in ("azureTenantId", "azureClientId")
        )
    ),
    _certificate_is_whole,
)
