"""Signing in with Entra ID as a component's Azure profile says, and the tokens for it.

The ways are, in Dapr's order: the secret and the certificate of an application; the identity of the pod (workload
identity) and of the machine (managed identity); the user of Azure's command line. `azureAuthMethods` chooses others.
"""

from __future__ import annotations

import base64
from time import time
from typing import TYPE_CHECKING, Any, Final

from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity import CredentialUnavailableError
from azure.identity.aio import (
    AzureCliCredential,
    CertificateCredential,
    ChainedTokenCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from pannier_crds.secret import Secret
from pannier_sidecar.network.connections import Connections

from .azure_answers import FailedSignInError, NoIdentityError, UnusableCertificateError, session
from .renewal import RenewedToken, Token, is_token

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AsyncExitStack

    from azure.core.credentials import AccessToken

    from .azure_profile import AzureProfile

CREDENTIAL_ERRORS: Final = (AzureError,)
"""What signing in raises."""
_NOT_UNDERSTOOD: Final = (AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError)
"""What Microsoft's client raises for a file that it cannot read, and for an answer whose shape it takes for granted."""
_CONNECTIONS: Final = 4
_CLI_SECONDS: Final = 30


async def open_credential(profile: AzureProfile, seconds: float, resources: AsyncExitStack) -> Credential:
    """Return what signs in, which lives until `resources` are closed; nothing is sent yet.

    A request to Entra ID takes at most that many seconds. Raises UnusableCertificateError.
    """
    connections = Connections(_CONNECTIONS, seconds)
    resources.callback(connections.close)
    shared = await resources.enter_async_context(session(connections))
    options = {"connection_timeout": seconds, "read_timeout": seconds, "retry_total": 1}

    def make() -> list[Any]:
        transports = (AioHttpTransport(session=shared, session_owner=False) for _ in profile.methods)
        made = [
            _MAKERS[method](profile, {"transport": transport, **options})
            for method, transport in zip(profile.methods, transports, strict=True)
        ]
        return [way for way in made if way is not None]

    credential = Credential(make)
    resources.push_async_callback(credential.end)
    return credential


class Credential:
    """Signs in by the first way that is possible. Azure's clients take it as an AsyncTokenCredential."""

    def __init__(self, make: Callable[[], list[Any]]):
        """`make` returns the ways. Raises UnusableCertificateError, as it does."""
        self._make = make
        self._ways = make()

    async def start_over(self) -> None:
        """Forget the tokens that Microsoft's client remembers, and read the files of the profile again.

        No call may be running. Raises UnusableCertificateError.
        """
        before, self._ways = self._ways, self._make()
        await _close(before)

    async def end(self) -> None:
        """Close the ways for good."""
        await _close(self._ways)

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token. Raises AzureError, whose meaning `azure_answers.wrong_identity` says."""
        for way in self._ways:
            try:
                token: AccessToken = await way.get_token(*scopes, **options)
            except CredentialUnavailableError:
                continue
            except ClientAuthenticationError:
                if isinstance(way, ChainedTokenCredential):  # it has probed the machine's identity, and there is none
                    continue
                raise
            except _NOT_UNDERSTOOD as error:
                raise FailedSignInError("the sidecar could not sign in") from error
            return token
        raise NoIdentityError("no way to sign in is possible")

    async def close(self) -> None:
        """Do nothing: the resources close the ways."""

    async def __aenter__(self) -> Credential:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class Tokens:
    """The token for one scope, renewed before it ends."""

    def __init__(self, credential: Credential, scope: str):
        self._credential = credential
        self._scope = scope
        self._renewed = RenewedToken(self.fetch)

    async def get(self) -> str:
        """Return the token. Raises AzureError."""
        return (await self._renewed.get()).text.reveal()

    async def fetch(self) -> Token:
        """Return a new token, which the clients' own memory would not before the old one has nearly ended.

        Raises AzureError. Only one call may run at a time.
        """
        await self._credential.start_over()
        found = await self._credential.get_token(self._scope)
        if not is_token(found.token):
            raise FailedSignInError("the token is not one of Entra ID's")
        return Token(Secret(found.token), found.expires_on - time())


async def _close(ways: list[Any]) -> None:
    for way in ways:
        await way.close()


def _by_secret(profile: AzureProfile, options: dict[str, Any]) -> Any:
    if not profile.secret:
        return None
    return ClientSecretCredential(
        profile.tenant, profile.client, profile.secret.reveal(), authority=profile.authority, **options
    )


def _by_certificate(profile: AzureProfile, options: dict[str, Any]) -> Any:
    if not profile.certificate and not profile.certificate_file:
        return None
    try:
        return _certificate(profile, options)
    except (OSError, TypeError, ValueError) as error:
        raise UnusableCertificateError("the certificate cannot be used") from error


def _certificate(profile: AzureProfile, options: dict[str, Any]) -> Any:
    text = profile.certificate.reveal()
    if text:
        is_pem = "-----BEGIN" in text
        options["certificate_data"] = text.encode() if is_pem else base64.b64decode(text, validate=True)
    return CertificateCredential(
        profile.tenant,
        profile.client,
        None if text else profile.certificate_file,
        password=profile.certificate_password.reveal() or None,
        authority=profile.authority,
        **options,
    )


def _by_workload(profile: AzureProfile, options: dict[str, Any]) -> Any:
    own = {"tenant_id": profile.tenant, "client_id": profile.client}
    given = {name: text for name, text in own.items() if text}
    try:
        return WorkloadIdentityCredential(authority=profile.authority, **given, **options)
    except ValueError:  # the pod has none
        return None


def _by_machine(profile: AzureProfile, options: dict[str, Any]) -> Any:
    # The chain of one makes it probe for a second whether the machine has identities at all.
    return ChainedTokenCredential(ManagedIdentityCredential(client_id=profile.client or None, **options))


def _by_command_line(profile: AzureProfile, _: dict[str, Any]) -> Any:
    return AzureCliCredential(tenant_id=profile.tenant, process_timeout=_CLI_SECONDS)


_MAKERS: Final[dict[str, Callable[[AzureProfile, dict[str, Any]], Any]]] = {
    "creds": _by_secret,
    "cert": _by_certificate,
    "wi": _by_workload,
    "mi": _by_machine,
    "cli": _by_command_line,
}
