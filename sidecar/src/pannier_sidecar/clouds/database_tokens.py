"""Tokens that databases take instead of passwords: those of Entra ID, and URLs that AWS credentials have signed.

Nothing of a cloud's client is imported before a component asks for its tokens.
"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import json
from msgspec.structs import replace

from pannier_crds.secret import Secret
from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError

from .azure_profile import AzureProfile
from .azure_profile import read_profile as read_azure_profile
from .renewal import RenewedToken, Token, is_token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AsyncExitStack

    from pannier_crds.given_settings import GivenSettings

    from .aws import AwsProfile

Connected = TypeVar("Connected")

SCOPES: Final = {
    "AzurePublic": "https://ossrdbms-aad.database.windows.net/.default",
    "AzureChina": "https://ossrdbms-aad.database.chinacloudapi.cn/.default",
    "AzureUSGovernment": "https://ossrdbms-aad.database.usgovcloudapi.net/.default",
}
"""Of tokens for PostgreSQL and MySQL, in each of Azure's clouds."""
_SIGNED_FOR_S: Final = 900
"""Seconds for which a database of AWS takes a signed URL; AWS allows no more."""
_SIGNED_LIFE_S: Final = 600.0
"""Seconds for which one is used: the credentials that signed it live at least so long."""


class SentToken:
    """A token that is sent as a password whenever a connection is made."""

    def __init__(self, tokens: RenewedToken, advice: str, noun: str = "token"):
        """`advice` says what to change if the database refuses tokens, which messages call `noun`."""
        self._tokens = tokens
        self._advice = advice
        self._noun = noun

    async def used(
        self, use: Callable[[Token], Awaitable[Connected]], is_refusal: Callable[[Exception], bool]
    ) -> Connected:
        """Return what `use` returns, given a token that has not ended.

        If the server refuses it, another one is fetched at once, but only one. Raises StoreRefusedError if that is
        refused too, a StoreError if no token can be had, and what else `use` raises.
        """
        token = await self._tokens.get()
        try:
            return await use(token)
        except Exception as error:
            if not is_refusal(error):
                raise
            other = await self._tokens.replace(token)
            if other is None:
                raise StoreRefusedError(f"the {self._noun} is refused; {self._advice}") from error
        try:
            return await use(other)
        except Exception as error:
            if not is_refusal(error):
                raise
            raise StoreRefusedError(f"the {self._noun} is refused, and so is a new one; {self._advice}") from error

    async def sent(
        self, connect: Callable[..., Awaitable[Connected]], is_refusal: Callable[[Exception], bool]
    ) -> Connected:
        """Return what `connect` returns, given the text of a token as its `password`. Raises as `used` does."""

        async def use(token: Token) -> Connected:
            return await connect(password=token.text.reveal())

        return await self.used(use, is_refusal)


async def token_for(
    profile: AzureProfile | AwsProfile, user: str, signed_url: str, seconds: float, resources: AsyncExitStack
) -> SentToken:
    """Return the token for a user of PostgreSQL or MySQL, which lives until `resources` are closed.

    AWS credentials sign `signed_url`, the host and port of the server. Fetching a token takes at most that many
    seconds. Raises a StoreError.
    """
    if isinstance(profile, AzureProfile):
        tokens = await entra_tokens(profile, SCOPES[profile.cloud], seconds, resources)
        return SentToken(tokens, "make the user in the database for this identity of Entra ID, under that name")
    tokens = await aws_tokens(profile, "rds-db", signed_url, {"DBUser": user}, seconds, resources)
    return SentToken(tokens, "let the user sign in by IAM, and allow rds-db:connect as this user to the identity")


async def entra_tokens(
    profile: AzureProfile,
    scope: str,
    seconds: float,
    resources: AsyncExitStack,
    *,
    names_user: bool = False,
    timeout_field: str = "timeout",
) -> RenewedToken:
    """Return the tokens of Entra ID for a scope, which live until `resources` are closed.

    `names_user`: the user is the object that a token is for (its claim `oid`).
    Fetching one takes at most that many seconds, which the component's `timeout_field` sets. A StoreError is raised
    here and by the tokens.
    """
    try:
        from .azure import CREDENTIAL_ERRORS, Tokens, open_credential
        from .azure_answers import wrong_identity
    except ModuleNotFoundError as error:
        raise _missing("signing in with Entra ID", "azure-identity", "azure-tokens") from error

    def translated(error: Exception) -> StoreError:
        if wrong := wrong_identity(error):
            return StoreRefusedError(wrong)
        return StoreUnavailableError("Entra ID cannot be reached; check azureEnvironment, and the network")

    try:
        tokens = Tokens(await open_credential(profile, seconds, resources), scope)
    except CREDENTIAL_ERRORS as error:
        raise translated(error) from error

    async def fetch() -> Token:
        try:
            async with asyncio.timeout(seconds):
                token = await tokens.fetch()
                return replace(token, user=_object_of(token)) if names_user else token
        except TimeoutError as error:
            late = f"Entra ID did not sign the sidecar in within {seconds:g} s ({timeout_field})"
            raise StoreUnavailableError(late) from error
        except CREDENTIAL_ERRORS as error:
            raise translated(error) from error

    return _closed_by(resources, fetch)


async def aws_tokens(
    profile: AwsProfile,
    service: str,
    url: str,
    parameters: Mapping[str, str],
    seconds: float,
    resources: AsyncExitStack,
    *,
    timeout_field: str = "timeout",
) -> RenewedToken:
    """Return tokens for a service such as `rds-db`, each the signed URL without its scheme.

    They live until `resources` are closed; the rest is as for `entra_tokens`.
    """
    try:
        from .aws import open_signer
        from .aws_answers import CLIENT_ERRORS, why, wrong_profile
    except ModuleNotFoundError as error:
        raise _missing("signing in with AWS", "aiobotocore", "aws-tokens") from error
    signer = await open_signer(profile, seconds, resources)

    async def fetch() -> Token:
        try:
            async with asyncio.timeout(seconds):
                signed = await signer.sign(service, url, {"Action": "connect", **parameters}, _SIGNED_FOR_S)
        except TimeoutError as error:
            late = f"AWS gave no credentials within {seconds:g} s ({timeout_field})"
            raise StoreUnavailableError(late) from error
        except (*CLIENT_ERRORS, ValueError) as error:
            if wrong := wrong_profile(error):
                raise StoreRefusedError(wrong) from error
            raise StoreUnavailableError(f"AWS gave no credentials: {why(error)}") from error
        return Token(Secret(signed.partition("://")[2]), _SIGNED_LIFE_S)

    return _closed_by(resources, fetch)


def read_profile(given: GivenSettings, switch: str = "useAzureAD") -> AzureProfile | AwsProfile:
    """Return whose tokens a component uses: Entra ID's, if `switch` is on, which wins as in Dapr, or else AWS's.

    The fields are those of `catalogue/tokens.py`. Raises StoreRefusedError if AWS's client is not installed.
    """
    if given.is_on(switch):
        return read_azure_profile(given)
    try:
        from .aws import read_profile as read_aws_profile
    except ModuleNotFoundError as error:
        raise _missing("signing in with AWS", "aiobotocore", "aws-tokens") from error
    return read_aws_profile(given)


def _object_of(token: Token) -> str:
    """Return the id of the object that a token of Entra ID is for. Raises StoreRefusedError if it names none."""
    try:
        part = token.text.reveal().split(".")[1]
        claims = json.decode(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        found = claims["oid"]
        if isinstance(found, str) and is_token(found):
            return found
    except (LookupError, TypeError, ValueError):
        pass
    raise StoreRefusedError("the token of Entra ID names no object (oid), by which Redis knows a user")


def _closed_by(resources: AsyncExitStack, fetch: Callable[[], Awaitable[Token]]) -> RenewedToken:
    tokens = RenewedToken(fetch)
    resources.push_async_callback(tokens.close)
    return tokens


def _missing(what: str, package: str, extra: str) -> StoreRefusedError:
    return StoreRefusedError(f"{what} needs the package {package}: pip install 'pannier-sidecar[{extra}]'")
