"""The secret stores that an app sees: what components refer to, and what the Secrets API reads."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from pannier_crds import catalogue
from pannier_crds.folder import KUBERNETES_SECRETS_FILE, KUBERNETES_SECRETS_STORE
from pannier_crds.problems import listed, quoted
from pannier_crds.secret import reveal
from pannier_sidecar.loading.local_secrets import ENVIRONMENT, DeliveredSecrets, EnvironmentSecrets, FileSecrets
from pannier_sidecar.loading.states import ComponentState
from pannier_sidecar.secret_reader import SecretMissingError, SecretSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pannier_crds.catalogue import Setting
    from pannier_crds.component import Component, SecretKeyRef

KUBERNETES: Final = "kubernetes"
_OF_THIS_MACHINE: Final = "local_secrets"
"""The catalogue's module of the secret stores on this machine."""


class SecretStore(SecretSource, Protocol):
    """Where secrets are looked up."""

    type: str
    """The component's type, as Dapr calls it."""
    capabilities: tuple[str, ...]
    """Its capabilities in Dapr's words."""
    is_readable: bool
    """Whether the app may read its secrets through the Secrets API."""

    def secret(self, reference: SecretKeyRef) -> str:
        """Return the secret. Raises SecretMissingError."""

    def waits_for(self, reference: SecretKeyRef) -> str:
        """Return why a reference cannot be resolved yet, but later; empty for every other reference."""


class SecretStores:
    """The secret stores that one app sees, by name."""

    def __init__(self, stores: Mapping[str, SecretStore], files: Iterable[Path] = (), refused: Iterable[str] = ()):
        self._stores = dict(stores)
        self._refused = frozenset(refused)
        self.files = tuple(files)
        """The files that secrets are read from."""

    def find(self, name: str | None) -> SecretStore:
        """Return the store called `name`, or the only store for None. Raises SecretMissingError."""
        if name is None and len(self._stores) == 1 and not self._refused:
            return next(iter(self._stores.values()))
        store = self._stores.get(name or "")
        if store is not None:
            return store
        raise SecretMissingError(self._advice(name))

    def waits_for(self, component: Component) -> str:
        """Return why references of a component cannot be resolved yet; empty if none has to wait."""
        reasons = []
        for item in component.metadata:
            if item.literal is None and not item.env and item.secret is not None:
                with suppress(SecretMissingError):  # which resolving them reports
                    reasons.append(self.find(component.secret_store).waits_for(item.secret))
        return next(filter(None, reasons), "")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretStores) and self._stores == other._stores and self._refused == other._refused

    __hash__ = None  # type: ignore[assignment]  # nothing needs it

    def readable(self) -> Mapping[str, SecretSource]:
        """Return the stores that the app may read through the Secrets API."""
        return {name: store for name, store in self._stores.items() if store.is_readable}

    def how_to_read(self, name: str) -> str:
        """Return the advice for a name that no readable store has."""
        if name in self._refused:
            return self._advice(name)
        if name.lower() == KUBERNETES:
            return (
                "the Kubernetes Secrets that Components refer to are for their stores only; mount a Secret that the "
                "app itself needs into its pod, or add a component of type secretstores.kubernetes"
            )
        known = listed(self.readable(), "or")
        return (
            f"write {known}" if known else "add a component of type secretstores.local.env or secretstores.local.file"
        )

    def _advice(self, name: str | None) -> str:
        known = listed(self._stores, "or")
        refused = sorted(self._refused) if name is None else [name] if name in self._refused else []
        if refused:
            return f"the component of the secret store {quoted(refused[0])} is refused; correct it"
        if name is None:
            if known:
                return f"several secret stores could hold it; write auth.secretStore: {known}"
            return "there is no secret store; add a component of type secretstores.local.env or secretstores.local.file"
        if name.lower() == KUBERNETES:
            return (
                "Kubernetes Secrets are filled in by Pannier's operator before the component arrives here; outside a "
                "cluster add a component of type secretstores.local.file and name it in auth.secretStore"
            )
        return f"there is no secret store {quoted(name)}; " + (f"write {known}" if known else "add its component")


def described(component: Component, store: SecretStore) -> ComponentState:
    """Return an open secret store as the metadata shows it."""
    return ComponentState(component.name, store.type, component.version, "ready", capabilities=store.capabilities)


def is_local(component: Component) -> bool:
    """Return whether a secret store is on this machine."""
    return catalogue.module_of(component.type) == _OF_THIS_MACHINE


def open_local(
    component: Component, settings: Mapping[str, Setting], environment: Mapping[str, str], folder: Path | None
) -> tuple[SecretStore, Path | None]:
    """Return a secret store of this machine, and the file that it reads.

    A relative `secretsFile` is looked up in the working directory, as in Dapr, and then in the component file's folder.
    """
    if component.type.lower() == ENVIRONMENT:
        return EnvironmentSecrets(environment, reveal(settings["prefix"])), None
    # The methods of Path raise for unknown users and for names that are too long.
    path = Path(os.path.expanduser(reveal(settings["secretsFile"])))
    if folder is not None and not path.is_absolute() and not os.path.exists(path) and os.path.exists(folder / path):
        path = folder / path
    if component.name == KUBERNETES_SECRETS_STORE and path.name == KUBERNETES_SECRETS_FILE:
        return DeliveredSecrets(path, component.namespace), path
    separator = reveal(settings["nestedSeparator"])
    return FileSecrets(path, separator, is_multi_valued=settings["multiValued"] is True), path
