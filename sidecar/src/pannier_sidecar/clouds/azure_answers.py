"""Answers to Azure's clients: read within limits, and what errors of signing in mean."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Final

import aiohttp
from azure.core.exceptions import ClientAuthenticationError

from pannier_sidecar.network.http_answers import PLAIN, BoundedResponse, bounded

if TYPE_CHECKING:
    from pannier_sidecar.network.connections import Connections

_AADSTS: Final = re.compile(r"AADSTS\d{4,8}")


class NoIdentityError(ClientAuthenticationError):
    """No way to sign in is possible."""


class UnusableCertificateError(ClientAuthenticationError):
    """The component's certificate or its key cannot be read."""


class FailedSignInError(ClientAuthenticationError):
    """A file cannot be read, or an answer is not one of Entra ID's."""


def session(connections: Connections) -> aiohttp.ClientSession:
    """Return a session for Azure's clients, with connections that are counted and answers that are bounded.

    Call it in the event loop.
    """
    connector = aiohttp.TCPConnector(
        limit=connections.limit, ssl=ssl.create_default_context(), socket_factory=connections.make_socket
    )
    return aiohttp.ClientSession(
        connector=bounded(connector),
        trust_env=True,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers=PLAIN,
        response_class=BoundedResponse,
    )


def wrong_identity(error: BaseException) -> str:
    """Return why the sidecar could not sign in, with advice; empty if the error has another cause."""
    if isinstance(error, NoIdentityError):
        return (
            "no Azure identity was found; set azureTenantId, azureClientId and azureClientSecret, or give the pod or "
            "machine an identity"
        )
    if isinstance(error, UnusableCertificateError):
        return (
            "azureCertificate or azureCertificateFile cannot be used; let it hold a certificate and its RSA key, as "
            "PEM or PKCS#12, for which azureCertificatePassword is right"
        )
    if isinstance(error, FailedSignInError):
        return (
            "the sidecar could not sign in: the answer is not one of Entra ID's, or the pod's token cannot be read; "
            "check azureEnvironment, AZURE_AUTHORITY_HOST and AZURE_FEDERATED_TOKEN_FILE"
        )
    if isinstance(error, ClientAuthenticationError):
        code = _AADSTS.search(str(error))
        shown = f" ({code[0]})" if code else ""
        return (
            f"Entra ID did not sign the sidecar in{shown}; check azureTenantId, azureClientId and the secret or "
            "certificate, or the identity that stands for them"
        )
    return ""
