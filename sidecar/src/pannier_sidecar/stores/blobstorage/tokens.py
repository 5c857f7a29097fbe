"""Tokens of Entra ID for Azure Storage, and what the errors of signing in mean."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from pannier_sidecar.clouds.azure import CREDENTIAL_ERRORS, Tokens, open_credential
from pannier_sidecar.clouds.azure_answers import wrong_identity
from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AsyncExitStack

    from .settings import BlobStorageSettings

_SCOPE: Final = "https://storage.azure.com/.default"


async def tokens_for(settings: BlobStorageSettings, resources: AsyncExitStack) -> Callable[[], Awaitable[str]]:
    """Return what returns a token that is valid; it raises a StoreError, after which nothing was sent."""
    try:
        credential = await open_credential(settings.profile, settings.timeout, resources)
    except CREDENTIAL_ERRORS as error:
        raise _translated(error) from error
    tokens = Tokens(credential, _SCOPE)

    async def token() -> str:
        try:
            async with asyncio.timeout(settings.timeout):
                return await tokens.get()
        except TimeoutError as error:
            late = f"Entra ID did not sign the sidecar in within {settings.timeout:g} s (timeout)"
            raise StoreUnavailableError(late) from error
        except CREDENTIAL_ERRORS as error:
            raise _translated(error) from error

    return token


def _translated(error: Exception) -> StoreError:
    if wrong := wrong_identity(error):
        return StoreRefusedError(wrong)
    return StoreUnavailableError("Entra ID cannot be reached; check azureEnvironment, and the network")
