"""References from Components and Configurations to Kubernetes Secrets, and which of them cannot be resolved. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pannier_crds.checks import reference_problems, secret_problems
from pannier_crds.problems import Problem, metadata_path, quoted, warning
from pannier_operator.objects.namespace_components import component_in

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pannier_crds.component import Component, SecretKeyRef
    from pannier_crds.configuration import Configuration
    from pannier_operator.objects import kinds


class Unresolved(NamedTuple):
    """A reference that cannot be resolved yet."""

    component: str
    setting: str
    secret: str
    key: str
    problem: Problem


def unresolved_in(component: Component, secrets: Mapping[str, Mapping[str, bytes]]) -> list[Unresolved]:
    """Return a component's references to Kubernetes Secrets that do not exist or are not text.

    `secrets` are the Secrets of its namespace by name, their data decoded.
    """
    problems = {problem.field: problem for problem in secret_problems(component, secrets)}
    found = []
    for setting, reference in references_of(component):
        problem = _problem_with(metadata_path(setting, "secretKeyRef"), reference, problems, secrets)
        if problem is not None:
            found.append(Unresolved(component.name, setting, reference.name, reference.key, problem))
    return found


def missing_secrets(configuration: Configuration, known: Mapping[str, Collection[str]]) -> list[Problem]:
    """Return a problem for each Secret or key that a Configuration refers to and that does not exist yet. `known` are
    the keys of the namespace's Secrets.
    """
    return list(reference_problems(configuration.secret_references, known, "so that the header is sent"))


def unresolved_of_configuration(
    configuration: Configuration, secrets: Mapping[str, Mapping[str, bytes]]
) -> list[Problem]:
    """Return what is wrong with a Configuration's references to Kubernetes Secrets; `secrets` as for components."""
    problems = {problem.field: problem for problem in missing_secrets(configuration, secrets)}
    found = (_problem_with(path, reference, problems, secrets) for path, reference in configuration.secret_references)
    return [problem for problem in found if problem is not None]


def references_in(manifest: kinds.Component | None) -> list[SecretKeyRef]:
    """Return a Component's references to Kubernetes Secrets; none if it cannot be read."""
    component = None if manifest is None else component_in(manifest)
    return [] if component is None else [reference for _, reference in references_of(component)]


def references_of(component: Component) -> list[tuple[str, SecretKeyRef]]:
    """Return the settings that come from Kubernetes Secrets, with their references."""
    if not component.reads_kubernetes_secrets:
        return []
    return [(item.name, item.secret) for item in component.metadata if item.secret is not None]


def text_in(secrets: Mapping[str, Mapping[str, bytes]], reference: SecretKeyRef) -> str | None:
    """Return the secret that is referred to; None if it does not exist or is not text."""
    value = secrets.get(reference.name, {}).get(reference.key)
    try:
        return value.decode() if value is not None else None
    except UnicodeDecodeError:
        return None


def _problem_with(
    path: str, reference: SecretKeyRef, problems: Mapping[str, Problem], secrets: Mapping[str, Mapping[str, bytes]]
) -> Problem | None:
    """Return the problem of one reference; `problems` are those with Secrets that do not exist, by field."""
    return problems.get(f"{path}.name") or problems.get(f"{path}.key") or _not_text(path, reference, secrets)


def _not_text(path: str, reference: SecretKeyRef, secrets: Mapping[str, Mapping[str, bytes]]) -> Problem | None:
    if text_in(secrets, reference) is not None:
        return None
    message = f"key {quoted(reference.key)} of the Secret {quoted(reference.name)} is not UTF-8 text"
    return warning(f"{path}.key", message, "store it as text")
