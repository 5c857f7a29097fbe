"""What a secret store on another machine offers, and how it is found."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from pannier_crds import catalogue
from pannier_sidecar.secret_reader import SecretStoreFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from pannier_crds.catalogue import Setting


class SecretServer(Protocol):
    """A secret store on another machine.

    The reads raise SecretMissingError and SecretStoreFailedError (SecretStoreSilentError if another attempt may help).
    Their texts hold no secret, and no word of the server.
    """

    capabilities: tuple[str, ...]
    """Its capabilities in Dapr's words."""
    refresh_interval: float
    """Seconds between two reads of a secret that components refer to."""

    async def read(self, name: str, metadata: Mapping[str, str]) -> Mapping[str, str]:
        """Return the texts of one secret by their keys."""

    async def read_all(self, metadata: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """Return every secret by its name."""

    async def close(self) -> None:
        """Close the connections."""


def package_of(store_type: str) -> ModuleType:
    """Return the package of a secret store, which imports nothing of its extra yet."""
    return import_module(f"{__package__}.{catalogue.module_of(store_type)}")


def open_server(store_type: str, settings: Mapping[str, Setting]) -> SecretServer:
    """Return the server of a secret store; call it in the event loop.

    Raises SecretStoreFailedError if a setting cannot be used, or its extra is not installed.
    """
    package = package_of(store_type)
    try:
        module = import_module(f"{package.__name__}.store")
    except ModuleNotFoundError as error:
        needed = package.PACKAGES.get(error.name or "")
        if needed is None:
            raise
        raise SecretStoreFailedError(
            f"{store_type} needs the package {needed}: pip install 'pannier-sidecar[{package.EXTRA}]'"
        ) from error
    return cast("SecretServer", module.open_server(settings))
