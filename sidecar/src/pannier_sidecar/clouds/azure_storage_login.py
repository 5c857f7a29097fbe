"""Signing in to an Azure storage account with Entra ID."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .database_tokens import entra_tokens

if TYPE_CHECKING:
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
    if service.account.key or service.account.sas:
        return
    tokens = await entra_tokens(profile, scope, seconds, resources)

    async def token() -> str:
        return (await tokens.get()).text.reveal()

    service.token = token
