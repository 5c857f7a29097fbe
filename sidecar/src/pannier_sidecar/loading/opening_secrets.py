"""Opens the secret stores that an app sees: those of this machine first, because others may take settings from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pannier_crds import catalogue
from pannier_crds.problems import Problem, error, quoted
from pannier_sidecar.loading.resolving import resolve
from pannier_sidecar.loading.secrets import SecretStores, described, is_local, open_local
from pannier_sidecar.state.directory import Waiting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pannier_crds.catalogue import Setting
    from pannier_crds.component import Component
    from pannier_crds.secret import Secret
    from pannier_sidecar.loading.folder import ParsedComponent
    from pannier_sidecar.loading.remote_secret_stores import RemoteSecretStores
    from pannier_sidecar.loading.resolving import ResolutionContext
    from pannier_sidecar.loading.secrets import SecretStore
    from pannier_sidecar.loading.states import ComponentState


class OpenedSecrets(NamedTuple):
    """The secret stores that are open, and what is wrong with the others."""

    stores: SecretStores
    states: list[ComponentState]
    refused: list[tuple[ParsedComponent, list[Problem]]]


def open_secret_stores(
    sound: Sequence[ParsedComponent], names: Iterable[str], context: ResolutionContext, remote: RemoteSecretStores
) -> OpenedSecrets:
    """Open the stores of sound components. Of two with the same name neither is used: references would be ambiguous.

    `names` are those of every secret store, sound or not.
    """
    opening = _Opening([parsed.component.name for parsed in sound], context, remote)
    for parsed in sound:
        if is_local(parsed.component):
            opening.open(parsed, None)
    of_this_machine = SecretStores(opening.stores)
    for parsed in sound:
        if not is_local(parsed.component):
            opening.open(parsed, of_this_machine)
    refused = set(names) - opening.stores.keys()
    states = [described(parsed.component, opening.stores[parsed.component.name]) for parsed in opening.opened]
    return OpenedSecrets(SecretStores(opening.stores, opening.files, refused), states, opening.refused)


def waiting(component: Component, why: str) -> Waiting:
    """Return the directory's entry of a component that waits for its secrets."""
    is_default, holds_actors = component.is_default_store, component.holds_actor_state
    return Waiting(component.name, component.type, component.version, f"it waits for {why}", is_default, holds_actors)


class _Opening:
    def __init__(self, names: Sequence[str], context: ResolutionContext, remote: RemoteSecretStores):
        self._names = names
        self._context = context
        self._remote = remote
        self.stores: dict[str, SecretStore] = {}
        self.files: list[Path] = []
        self.opened: list[ParsedComponent] = []
        self.refused: list[tuple[ParsedComponent, list[Problem]]] = []

    def open(self, parsed: ParsedComponent, secrets: SecretStores | None) -> None:
        component = parsed.component
        values, problems = resolve(component, self._context, secrets)
        if self._names.count(component.name) > 1:
            message = f"another secret store is called {quoted(component.name)}, so neither is used"
            problems.append(error("metadata.name", message, "give one of the two another name"))
        settings = _settings(component, values, problems)
        if problems:
            self.refused.append((parsed, problems))
            return
        if is_local(component):
            store, file = open_local(component, settings, self._context.environment, Path(parsed.source).parent)
            self.files += [file] if file is not None else []
        else:
            store = self._remote.take(component, settings)
        self.stores[component.name] = store
        self.opened.append(parsed)


def _settings(
    component: Component, values: Mapping[str, str | Secret], problems: list[Problem]
) -> Mapping[str, Setting]:
    """Return the settings, and add what is wrong with them, unless values are missing anyway."""
    component_type = catalogue.component_type(component.type, component.version)
    assert component_type is not None, "a component of an unknown type is refused before"
    settings, found = catalogue.read_settings(component_type, values)
    if not problems:
        problems += [problem for problem in found if problem.is_error]
    return settings
