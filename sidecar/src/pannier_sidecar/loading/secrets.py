"""Secret stores of the machine itself: environment variables, and a JSON file.

Both are read as in Dapr 1.18, but a missing secret is an error, and not an empty text.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from pannier_crds import catalogue
from pannier_crds.addresses.sqlite import is_harmless_path
from pannier_crds.folder import KUBERNETES_SECRETS_FILE, KUBERNETES_SECRETS_STORE
from pannier_crds.problems import listed, quoted
from pannier_crds.secret import Secret, reveal
from pannier_crds.suggestions import closest
from pannier_sidecar.loading.states import ComponentState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pannier_crds.component import Component, SecretKeyRef

ENVIRONMENT: Final = "secretstores.local.env"
FILE: Final = "secretstores.local.file"
KUBERNETES: Final = "kubernetes"
_SEVERAL_VALUES: Final = "MULTIPLE_KEY_VALUES_PER_SECRET"
_MAX_FILE_BYTES: Final = 1024 * 1024


class SecretMissingError(Exception):
    """A reference to a secret cannot be resolved; the text says what to write, and has no secret in it."""


class SecretStore(Protocol):
    """Where secrets are looked up."""

    type: str
    """The component's type, as Dapr calls it."""
    capabilities: tuple[str, ...]
    """Its capabilities in Dapr's words."""

    def secret(self, reference: SecretKeyRef) -> str:
        """Return the secret. Raises SecretMissingError."""


def is_reserved(variable: str) -> bool:
    """Return whether an environment variable belongs to the sidecar and is kept from components, as in Dapr 1.18."""
    name = variable.upper()
    return name.startswith("DAPR_") or name == "APP_API_TOKEN"


class EnvironmentSecrets:
    """`secretstores.local.env`: a secret is the environment variable of that name, with the prefix before it."""

    type: str = ENVIRONMENT
    capabilities: tuple[str, ...] = ()

    def __init__(self, environment: Mapping[str, str], prefix: str = ""):
        self._environment = environment
        self._prefix = prefix

    def secret(self, reference: SecretKeyRef) -> str:
        variable = self._prefix + reference.name
        if is_reserved(variable):
            raise SecretMissingError(f"{quoted(variable)} belongs to the sidecar; put the secret into another variable")
        if reference.key != reference.name:
            raise SecretMissingError(
                f"a variable holds one secret, so {quoted(reference.name)} has no key {quoted(reference.key)}; "
                "take 'key' out"
            )
        value = self._environment.get(variable)
        if value is None:
            raise SecretMissingError(
                f"the environment variable {quoted(variable)} is not set; set it, or correct its name"
            )
        return value


class FileSecrets:
    """`secretstores.local.file`: a JSON file. Nested names are joined by a separator; list entries count from 0."""

    type: str = FILE

    def __init__(self, path: Path, separator: str = ":", *, is_multi_valued: bool = False):
        """Prepare to read. The file is read at each lookup, so that a rotated secret takes effect."""
        self._path = path
        self._shown = str(path) if is_harmless_path(str(path)) else "of secretsFile"
        self._separator = separator
        self._is_multi_valued = is_multi_valued
        self.capabilities: tuple[str, ...] = (_SEVERAL_VALUES,) if is_multi_valued else ()

    def secret(self, reference: SecretKeyRef) -> str:
        secrets = self._read()
        for name in self._names(reference):
            if name in secrets:
                return secrets[name]
        raise SecretMissingError(self._missing_message(reference, secrets))

    def _missing_message(self, reference: SecretKeyRef, secrets: Mapping[str, str]) -> str:
        desired = self._separator.join(dict.fromkeys((reference.name, reference.key)))
        match = closest(desired, secrets)
        advice = f"write {quoted(match)}" if match else "add it there"
        return f"{self._shown} holds no secret {quoted(desired)}; {advice}"

    def _names(self, reference: SecretKeyRef) -> Iterator[str]:
        """Yield the names to look up.

        Dapr finds nested secrets by their joined name. It takes a name and a key only in multi-valued files.
        """
        if reference.key != reference.name or self._is_multi_valued:
            yield reference.name + self._separator + reference.key
        if reference.key == reference.name:
            yield reference.name

    def _read(self) -> dict[str, str]:
        import json  # imported here, because few sidecars have a file of secrets

        try:
            with self._path.open("rb") as file:
                content = json.loads(file.read(_MAX_FILE_BYTES))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise SecretMissingError(f"secrets file {self._shown}: {reason}; correct secretsFile") from error
        except (ValueError, RecursionError):
            raise SecretMissingError(f"secrets file {self._shown} is no JSON; correct it") from None
        if not isinstance(content, dict):
            raise SecretMissingError(f"secrets file {self._shown} is no JSON object; write names and values in braces")
        return dict(self._flat("", content))

    def _flat(self, path: str, value: object) -> Iterator[tuple[str, str]]:
        parts: Iterable[tuple[object, object]]
        if isinstance(value, dict):
            parts = value.items()
        elif isinstance(value, list):
            parts = enumerate(value)
        else:
            import json

            yield path, value if isinstance(value, str) else json.dumps(value)
            return
        for name, part in parts:
            yield from self._flat(f"{path}{self._separator}{name}" if path else str(name), part)


class DeliveredSecrets(FileSecrets):
    """Kubernetes Secrets that the operator has delivered in a file. Messages name the Secret, not the file."""

    type = "secretstores.kubernetes"

    def __init__(self, path: Path, namespace: str | None):
        super().__init__(path, is_multi_valued=True)
        self.capabilities = ()  # as in Dapr
        self._namespace = namespace

    def _missing_message(self, reference: SecretKeyRef, secrets: Mapping[str, str]) -> str:
        where = f" in namespace {quoted(self._namespace)}" if self._namespace else ""
        return (
            f"there is no Secret {quoted(reference.name)}{where} with a text under the key {quoted(reference.key)}; "
            "make it, or correct the reference"
        )


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


def open_secret_store(
    component: Component, values: Mapping[str, str | Secret], environment: Mapping[str, str], folder: Path | None
) -> tuple[SecretStore, Path | None]:
    """Return the secret store of a valid component, and the file that it reads.

    A relative `secretsFile` is looked up in the working directory, as in Dapr, and then in the component file's folder.
    """
    component_type = catalogue.component_type(component.type, component.version)
    assert component_type is not None, "a component of an unknown type is refused before"
    settings, _ = catalogue.read_settings(component_type, values)
    if component_type.name == ENVIRONMENT:
        return EnvironmentSecrets(environment, reveal(settings["prefix"])), None
    # The methods of Path raise for unknown users and for names that are too long.
    path = Path(os.path.expanduser(reveal(settings["secretsFile"])))
    if folder is not None and not path.is_absolute() and not os.path.exists(path) and os.path.exists(folder / path):
        path = folder / path
    if component.name == KUBERNETES_SECRETS_STORE and path.name == KUBERNETES_SECRETS_FILE:
        return DeliveredSecrets(path, component.namespace), path
    separator = reveal(settings["nestedSeparator"])
    return FileSecrets(path, separator, is_multi_valued=settings["multiValued"] is True), path
