"""The use cases of the Secrets API: an app reads secrets of the secret stores that its components configure."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Protocol, TypeVar

from .state.errors import (
    SecretDeniedError,
    SecretFailedError,
    SecretNotFoundError,
    SecretStoreNotFoundError,
    SecretStoresNotConfiguredError,
    SecretStoreUnavailableError,
    StateError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

Answer = TypeVar("Answer")


class SecretMissingError(Exception):
    """A secret store has no such secret; the text says what to write, and has no secret in it."""


class SecretStoreFailedError(Exception):
    """A secret store refused to answer, or cannot be read; the text says why, without any part of a secret."""


class SecretStoreSilentError(SecretStoreFailedError):
    """A secret store cannot be reached, or did not answer in time; trying again may help."""


class SecretSource(Protocol):
    """An open secret store as the Secrets API reads it.

    Both methods raise SecretMissingError and SecretStoreFailedError.
    """

    type: str
    """The type of its component."""
    empty_if_missing: bool
    """Dapr's store of this type answers with an empty text where there is no secret."""

    async def read(self, name: str, metadata: Mapping[str, str]) -> Mapping[str, str]:
        """Return the texts of one secret by their keys."""

    async def read_all(self, metadata: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """Return every secret by its name."""


class SecretSources(Protocol):
    """The secret stores that an app may read."""

    def readable(self) -> Mapping[str, SecretSource]:
        """Return the stores by name."""

    def how_to_read(self, name: str) -> str:
        """Return the advice for a name that no readable store has."""


class Scope(Protocol):
    """What an app may read of one secret store."""

    def permits(self, name: str, store_type: str) -> bool:
        """Return whether the app may read the secret of this name in a store of this type."""


class SecretObserver(Protocol):
    """Records calls that reached a secret store."""

    def secrets_read(self, store: str, operation: str, succeeded: bool, seconds: float) -> None:
        """Record a call; `operation` is `get` or `bulk_get`."""


class SecretReader:
    """Reads secrets for the app. Every method raises a StateError of `state/errors/of_secrets.py`."""

    def __init__(self, sources: Callable[[], SecretSources], observer: SecretObserver, *, is_exact: bool = False):
        """Read from the stores that `sources` returns at each call. `is_exact` answers as Dapr does where a store has
        no such secret.
        """
        self._sources = sources
        self._observer = observer
        self._is_exact = is_exact
        self.scopes: Mapping[str, Scope] = {}
        """What the app may read, by the names of the stores; everything of the others."""

    async def get(self, store: str, name: str, metadata: Mapping[str, str]) -> Mapping[str, str]:
        """Return the texts of one secret by their keys."""
        source = self._find(store)
        scope = self.scopes.get(store)
        if scope is not None and not scope.permits(name, source.type):
            raise SecretDeniedError(store, name)
        if self._is_exact and source.empty_if_missing:
            return await self._observed(store, name, _or_empty(source, name, metadata))
        return await self._observed(store, name, source.read(name, metadata))

    async def get_all(self, store: str, metadata: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """Return every secret of a store by its name; without those that the app may not read."""
        source = self._find(store)
        found = await self._observed(store, None, source.read_all(metadata))
        scope = self.scopes.get(store)
        if scope is None:
            return found
        return {name: texts for name, texts in found.items() if scope.permits(name, source.type)}

    def _find(self, store: str) -> SecretSource:
        sources = self._sources()
        readable = sources.readable()
        source = readable.get(store)
        if source is not None:
            return source
        if not readable:
            raise SecretStoresNotConfiguredError(sources.how_to_read(store))
        raise SecretStoreNotFoundError(store, sources.how_to_read(store))

    async def _observed(self, store: str, name: str | None, reading: Awaitable[Answer]) -> Answer:
        started = perf_counter()
        succeeded = False
        try:
            found = await reading
            succeeded = True
        except (SecretMissingError, SecretStoreFailedError) as error:
            raise _as_answered(error, store, name) from None
        finally:
            operation = "bulk_get" if name is None else "get"
            self._observer.secrets_read(store, operation, succeeded, perf_counter() - started)
        return found


async def _or_empty(source: SecretSource, name: str, metadata: Mapping[str, str]) -> Mapping[str, str]:
    try:
        return await source.read(name, metadata)
    except SecretMissingError:
        return {name: ""}


def _as_answered(error: Exception, store: str, name: str | None) -> StateError:
    if isinstance(error, SecretMissingError):
        return SecretNotFoundError(store, name, str(error))
    if isinstance(error, SecretStoreSilentError):
        return SecretStoreUnavailableError(store, name, str(error))
    return SecretFailedError(store, name, str(error))


class _NoSources:
    def readable(self) -> Mapping[str, SecretSource]:
        return {}

    def how_to_read(self, name: str) -> str:
        return "add the component of a secret store"


class _Unobserved:
    def secrets_read(self, store: str, operation: str, succeeded: bool, seconds: float) -> None:
        pass


def no_secrets() -> SecretReader:
    """Return the reader of an app without secret stores."""
    return SecretReader(_NoSources, _Unobserved())
