"""Turns metadata entries into texts: literal values with tokens, environment variables, secrets."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pannier_crds.pluggable import DEFAULT_SOCKETS_FOLDER, SOCKETS_FOLDER_VARIABLE
from pannier_crds.problems import Problem, error, metadata_path, quoted
from pannier_crds.secret import Secret
from pannier_sidecar.loading.local_secrets import is_reserved
from pannier_sidecar.secret_reader import SecretMissingError
from pannier_sidecar.settings import LimitSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pannier_crds.component import Component, MetadataItem
    from pannier_sidecar.loading.secrets import SecretStores
    from pannier_sidecar.settings import Settings

_TOKEN: Final = re.compile(r"\{(uuid|podName|namespace|appID)\}")


class UnresolvableError(Exception):
    """A metadata entry has no value; holds the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


@dataclass(frozen=True)
class ResolutionContext:
    """The context in which values of an app's components are resolved."""

    app_id: str
    namespace: str | None = None
    pod_name: str | None = None
    data_folder: Path | None = None
    """The folder for embedded databases whose component names no file."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    allowed_variables: frozenset[str] | None = None
    """The variables that `envRef` may name; None: all except the sidecar's own."""
    is_daprd: bool = False
    """As in daprd, an invalid component without `ignoreErrors` ends the sidecar, and Pannier's own defaults are not
    used.
    """
    limits: LimitSettings = LimitSettings()  # never changes
    denies: Callable[[Component], bool] = field(default=lambda component: False, compare=False)
    """Returns whether the Configuration forbids a component."""
    credential_providers: tuple[str, ...] = ()
    """`module:Class` of each credential provider that components may name."""
    run: bytes = field(default_factory=lambda: os.urandom(16))
    """Seed of `{uuid}`: different in each process, but the same at each reading, so that stores stay open."""

    @property
    def sockets_folder(self) -> Path:
        """The folder in which pluggable components listen."""
        return Path(self.environment.get(SOCKETS_FOLDER_VARIABLE) or DEFAULT_SOCKETS_FOLDER)

    @property
    def has_sockets(self) -> bool:
        """Whether pluggable components are in use here: their folder is set, or exists."""
        return SOCKETS_FOLDER_VARIABLE in self.environment or self.sockets_folder.is_dir()

    @property
    def sees(self) -> str:
        """Which Components the app sees in a cluster, in words for a message; empty outside a cluster."""
        if self.allowed_variables is None or not self.namespace:
            return ""
        return f"those of namespace {quoted(self.namespace)} without scopes or with {quoted(self.app_id)} in them"

    @classmethod
    def of(cls, settings: Settings) -> ResolutionContext:
        environment = settings.place.environment
        allowed = None
        if settings.place.mode == "kubernetes":
            allowed = frozenset(environment.get("DAPR_ENV_KEYS", "").split())
        place, is_daprd = settings.place, settings.profile == "dapr"
        return cls(
            settings.app.id,
            place.namespace,
            place.pod_name,
            place.data_folder,
            environment,
            allowed,
            is_daprd,
            limits=settings.limits,
            credential_providers=settings.components.credential_providers,
        )


def resolve(
    component: Component, context: ResolutionContext, secrets: SecretStores | None
) -> tuple[dict[str, str | Secret], list[Problem]]:
    """Return the texts of a component's metadata by name, and a problem for each that has none.

    What comes from a secret or the environment is a Secret.

    Without `secrets`, as for a secret store itself, references to secrets are problems.
    """
    values: dict[str, str | Secret] = {}
    problems: list[Problem] = []
    for item in component.metadata:
        try:
            value = _value(component, item, context, secrets)
        except UnresolvableError as failed:
            problems.append(failed.problem)
        else:
            if value is not None:
                values.setdefault(item.name, value)
    return values, problems


def _value(
    component: Component, item: MetadataItem, context: ResolutionContext, secrets: SecretStores | None
) -> str | Secret | None:
    if item.literal is not None:
        return _with_tokens(component, item, context)
    if item.env:
        return Secret(_from_environment(item, item.env, context), is_from_elsewhere=True)
    if item.secret is None:
        return None
    path = metadata_path(item.name, "secretKeyRef")
    if secrets is None:
        raise UnresolvableError(
            error(path, "a secret store can't take its own settings from another one", "write a value")
        )
    try:
        return Secret(secrets.find(component.secret_store).secret(item.secret), is_from_elsewhere=True)
    except SecretMissingError as missing:
        raise UnresolvableError(error(path, str(missing))) from missing


def _from_environment(item: MetadataItem, variable: str, context: ResolutionContext) -> str:
    path = metadata_path(item.name, "envRef")
    allowed = context.allowed_variables
    if is_reserved(variable) or (allowed is not None and variable not in allowed):
        message = f"{quoted(variable)} is not given to components"
        advice = "list it in the annotation dapr.io/env" if not is_reserved(variable) else "use another variable"
        raise UnresolvableError(error(path, message, advice))
    value = context.environment.get(variable)
    if value is None:
        message = f"the environment variable {quoted(variable)} is not set"
        raise UnresolvableError(error(path, message, "set it, or correct its name"))
    return value


def _with_tokens(component: Component, item: MetadataItem, context: ResolutionContext) -> str:
    """Fill in Dapr's tokens. `{namespace}` stands for the namespace and the app id, as in Dapr."""
    met = 0

    def fill(match: re.Match[str]) -> str:
        nonlocal met
        met += 1
        if match[1] == "uuid":
            return _uuid(context.run, f"{component.name}/{item.name}/{met}")
        if match[1] == "appID":
            return context.app_id
        if match[1] == "namespace":
            namespace = context.namespace
            return f"{namespace}.{context.app_id}" if namespace else context.app_id
        if context.pod_name is None:
            problem = error(metadata_path(item.name, "value"), "{podName} is not known here", "set POD_NAME")
            raise UnresolvableError(problem)
        return context.pod_name

    return _TOKEN.sub(fill, item.value or "")


def _uuid(run: bytes, place: str) -> str:
    from uuid import UUID, uuid5  # imported here: it takes three milliseconds, and few components need it

    return str(uuid5(UUID(bytes=run), place))
