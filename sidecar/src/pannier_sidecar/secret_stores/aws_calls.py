"""Calls to an AWS service that holds secrets, and what its errors mean."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from pannier_crds.problems import quoted
from pannier_sidecar.clouds.aws import open_client, read_profile, where
from pannier_sidecar.clouds.aws_answers import (
    BAD_CREDENTIALS,
    CHECK_KEYS,
    CLIENT_ERRORS,
    NotUnderstoodError,
    code,
    kind,
    status,
    why,
    wrong_profile,
)
from pannier_sidecar.network.connections import Connections, TooManyConnectionsError
from pannier_sidecar.secret_reader import SecretMissingError, SecretStoreFailedError, SecretStoreSilentError

from . import reading_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_crds.given_settings import GivenSettings

MAX_CONNECTIONS: Final = 8
"""Further calls wait for one."""
MAX_NAME: Final = 2048
"""Characters of a secret's name; AWS allows no longer ones."""
_THROTTLED: Final = frozenset(
    {"LimitExceededException", "RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException"}
)
_MISSING: Final = {
    "ResourceNotFoundException": "there is none, or no such version of it",
    "ParameterNotFound": "there is none",
    "ParameterVersionNotFound": "it has no such version",
    "InvalidParameterException": "AWS does not take this name or version",
    "ValidationException": "AWS does not take this name or version",
    "InvalidRequestException": "it is marked for deletion, or has no value",
}
"""Why there is no such secret, by AWS's code."""
_KEY_FAILS: Final = frozenset(
    {"DecryptionFailure", "InvalidKeyId", "KMSAccessDeniedException", "KMSInvalidStateException"}
)


class AwsCalls:
    """A client that is opened at the first call. Raises SecretMissingError and SecretStoreFailedError."""

    def __init__(self, service: str, title: str, given: GivenSettings):
        """Connect to nothing yet. `service` is AWS's name of it (`ssm`), `title` is for messages."""
        self._service = service
        self._profile = read_profile(given)
        self._timeout = given.number("timeout")
        self.where = where(title, given)
        self._connections = Connections(MAX_CONNECTIONS, self._timeout / 2)
        self._resources = AsyncExitStack()
        self._client: Any = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close the client and its connections."""
        await self._resources.aclose()
        self._connections.close()

    async def call(self, operation: str, name: str = "", **arguments: Any) -> Mapping[str, Any]:
        """Return the answer to a call for the secret `name`; empty: for several."""
        if len(name) > MAX_NAME:
            raise SecretMissingError(f"a secret's name has at most {MAX_NAME} characters")
        try:
            async with asyncio.timeout(self._timeout), self._connections:
                client = self._client or await self._open()
                answer: Mapping[str, Any] = await getattr(client, operation)(**arguments)
        except TooManyConnectionsError as error:
            raise SecretStoreSilentError(f"{self.where}: {error}") from None
        except TimeoutError:
            raise SecretStoreSilentError(f"{self.where} did not answer within {self._timeout:g} s (timeout)") from None
        except (*CLIENT_ERRORS, ValueError) as error:
            raise self._translated(error, operation, name) from None
        return answer

    async def names(self, operation: str, listed: str, **arguments: Any) -> list[str]:
        """Return the names of all secrets, sorted. `listed` is the field of the answer that lists them."""
        names: list[str] = []
        pages = 0
        while True:
            answer = await self.call(operation, **arguments)
            for entry in answer.get(listed, ()):
                name = entry.get("Name") if isinstance(entry, dict) else None
                if not isinstance(name, str):
                    raise self.not_understood()
                names.append(name)
            pages += 1
            reading_all.check_number(len(names), pages)
            if not answer.get("NextToken"):
                return sorted(names)
            arguments["NextToken"] = answer["NextToken"]

    async def _open(self) -> Any:
        async with self._opening:
            if self._client is None:
                async with AsyncExitStack() as opened:
                    client = await open_client(self._service, self._profile, self._connections, self._timeout, opened)
                    self._resources.push_async_exit(opened.pop_all())
                self._client = client
            return self._client

    def not_understood(self) -> SecretStoreFailedError:
        """Return the error for an answer that is not one of AWS's."""
        return SecretStoreFailedError(f"{self.where} gave an answer that is not AWS's; check endpoint")

    def _translated(self, error: Exception, operation: str, name: str) -> Exception:
        if isinstance(error, NotUnderstoodError):
            return self.not_understood()
        if wrong := wrong_profile(error):
            return SecretStoreFailedError(wrong)
        found = code(error)
        if found in _THROTTLED or status(error) == 429:
            advice = "read less often (refreshInterval), or have AWS raise the limit"
            return SecretStoreSilentError(f"{self.where} limits the calls ({kind(error)}); {advice}")
        if status(error) >= 500:
            return SecretStoreSilentError(f"{self.where} failed ({kind(error)})")
        if found in _MISSING and name:
            return SecretMissingError(f"{self.where} has no secret {quoted(name)}: {_MISSING[found]}")
        if status(error):
            return SecretStoreFailedError(f"{self.where} refused {operation} ({kind(error)}); {_advice(found, name)}")
        if isinstance(error, ValueError):
            return SecretStoreFailedError(f"{self.where} cannot be called so; correct region and endpoint")
        return SecretStoreSilentError(f"{self.where} cannot be reached: {why(error)}; check region and endpoint")


def _advice(found: str, name: str) -> str:
    if found in BAD_CREDENTIALS:
        return CHECK_KEYS
    if found in _KEY_FAILS:
        return "allow kms:Decrypt with the secret's key to this identity"
    if name:
        return f"allow it on {quoted(name)}, and kms:Decrypt with its key, to this identity"
    return "allow it to this identity"
