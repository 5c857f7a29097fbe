"""References from Components to Kubernetes Secrets, and which of them cannot be resolved. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pannier_crds.checks import secret_problems
from pannier_crds.problems import Problem, metadata_path, quoted, warning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_crds.component import Component, SecretKeyRef


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
        path = metadata_path(setting, "secretKeyRef")
        problem = problems.get(f"{path}.name") or problems.get(f"{path}.key") or _not_text(path, reference, secrets)
        if problem is not None:
            found.append(Unresolved(component.name, setting, reference.name, reference.key, problem))
    return found


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


def _not_text(path: str, reference: SecretKeyRef, secrets: Mapping[str, Mapping[str, bytes]]) -> Problem | None:
    if text_in(secrets, reference) is not None:
        return None
    message = f"key {quoted(reference.key)} of the Secret {quoted(reference.name)} is not UTF-8 text"
    return warning(f"{path}.key", message, "store it as text")
