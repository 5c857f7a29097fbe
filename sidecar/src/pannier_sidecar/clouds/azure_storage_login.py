"""Signing in to an Azure storage account with Entra ID, and what the errors of it mean."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AsyncExitStack

    from pannier_sidecar.network.azure_storage import StorageService

    from .azure_profile import AzureProfile

STORAGE: Final = "https://storage.azure.com/.default"
COSMOS: Final = "https://cosmos.azure.com/.default"
"""What a token is for: a storage account, or an account of Cosmos DB."""


async def sign_in(
    service: StorageService, profile: AzureProfile, seconds: float, resources: AsyncExitStack, scope: str = STORAGE
) -> None:
    """Have calls signed by tokens of Entra ID, if the account has neither a key nor a SAS. Raises a StoreError.

    `seconds` is how long a sign-in may take.
    """
    if not (service.account.key or service.account.sas):
        service.token = await _tokens_for(profile, seconds, resources, scope)


async def _tokens_for(
    profile: AzureProfile, seconds: float, resources: AsyncExitStack, scope: str
) -> Callable[[], Awaitable[str]]:
    """Return what returns a token that is valid; it raises a StoreError, after which nothing was sent."""
    from .azure import CREDENTIAL_ERRORS, Tokens, open_credential  # few components sign in so
    from .azure_answers import wrong_identity

    def translated(error: Exception) -> StoreError:
        if wrong := wrong_identity(error):
            return StoreRefusedError(wrong)
        return StoreUnavailableError("Entra ID cannot be reached; check azureEnvironment, and the network")

    try:
        credential = await open_credential(profile, seconds, resources)
    except CREDENTIAL_ERRORS as error:
        raise translated(error) from error
    tokens = Tokens(credential, scope)

    async def token() -> str:
        try:
            async with asyncio.timeout(seconds):
                return await tokens.get()
        except TimeoutError as error:
            late = f"Entra ID did not sign the sidecar in within {seconds:g} s (timeout)"
            raise StoreUnavailableError(late) from error
        except CREDENTIAL_ERRORS as error:
            raise translated(error) from error

    return token
