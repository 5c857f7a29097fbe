"""The fields for the TLS certificates of servers and clients."""

from __future__ import annotations

from typing import Final

from pannier_crds.catalogue.model import Field

_PEM: Final = "PEM text or a file's path"

INSECURE: Final = Field(
    "insecureSkipTLSVerify",
    "boolean",
    description="Whether to accept a certificate that no trusted authority signed",
    default=False,
)


def authority(name: str = "caCert", *, whose: str = "the server's certificate") -> Field:
    return Field(name, description=f"The authority that signed {whose}, {_PEM}")


def client_certificate(certificate: str = "clientCert", key: str = "clientKey") -> tuple[Field, Field]:
    """Return the fields that hold a certificate and its private key."""
    return (
        Field(certificate, description=f"The client's certificate, {_PEM}"),
        Field(key, description=f"The client's private key, {_PEM}", sensitive=True),
    )
